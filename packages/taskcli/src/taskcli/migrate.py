"""`taskcli migrate`: the schema, brought to the revision that this code is written for."""

from __future__ import annotations

from typing import Annotated

import typer

from . import environment, output
from .failures import Failure, WrongUse, stopping_says
from .verbs import DryRun, Json, Yes, confirmed

_UNDONE = "what was under way was rolled back, and the schema is as it was"


def migrate(
    to: Annotated[
        str | None, typer.Option(metavar="REV", help="Stop at this revision (with --down: `base`).")
    ] = None,
    down: Annotated[bool, typer.Option("--down", help="Take the last revision back.")] = False,
    sql: Annotated[
        bool, typer.Option("--sql", help="Print a script for psql instead of running it.")
    ] = False,
    grant: Annotated[
        str | None,
        typer.Option(metavar="LOGIN", help="Let the server's login take the tenant's role."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only say what is behind or has drifted.")
    ] = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Bring the schema to this version.

    Each revision is shown as it is applied. All of them run in one transaction, alone: another
    migration of the same database waits for its turn.
    """
    if sum((down, sql, check, grant is not None)) > 1:
        raise WrongUse("choose one of --down, --sql, --check and --grant")
    if dry_run and not down:
        raise WrongUse("--dry-run goes with --down: nothing else loses anything")
    if sql:
        _print_script(to)
    elif check:
        _check(as_json)
    elif down:
        _go_down(to or "-1", yes=yes, dry_run=dry_run, as_json=as_json)
    else:
        _go_up(to or "head", grant, as_json=as_json)


def _print_script(to: str | None) -> None:
    from taskcore import schema

    output.line(schema.sql(_known(to or "head")).rstrip())


def _check(as_json: bool) -> None:
    from taskcore import schema

    found = schema.check(environment.operator_url())
    if as_json:
        output.document({"ok": not found, "differences": found})
    for difference in [] if as_json else found or ["OK"]:
        output.line(difference)
    if found:
        raise Failure(
            "the schema is not what this version needs: `taskcli migrate` brings it up to date; "
            "what has drifted has to be put back by hand"
        )


def _go_up(to: str, grant: str | None, *, as_json: bool) -> None:
    from taskcore import admin, schema

    url = environment.operator_url()
    at, names = schema.current(url), [name for name, _ in schema.history()]
    if at in names and to in names and names.index(to) < names.index(at):
        raise WrongUse(f"the schema is at {at}, past {to}: `taskcli migrate --down --to {to}`")
    with stopping_says(_UNDONE):
        schema.upgrade(url, _known(to), report=output.note)
        if grant is not None:
            with admin.connected(url) as session:
                admin.grant(session, grant)
            output.note(f"{grant} may take the role of the tenants")
    _tell_where(schema.current(url), as_json)


def _go_down(to: str, *, yes: bool, dry_run: bool, as_json: bool) -> None:
    from taskcore import schema

    url = environment.operator_url()
    names = [name for name, _ in schema.history()]
    at = schema.current(url)
    if at is None:
        raise Failure("there is nothing to take back: no migration has run here")
    if at in names:
        target = names.index(at) - 1 if to == "-1" else _index(to)
        if target >= names.index(at):
            raise WrongUse(f"the schema is at {at}, which is not after {to}")
        back = ", ".join(reversed(names[target + 1 : names.index(at) + 1]))
        lost = _tasks(url) if target < 0 else 0
        losing = f"with it {lost} tasks are lost for good" if target < 0 else "no task is lost"
        if dry_run:
            output.line(f"would take back {back}: {losing}")
            return
        if target < 0:
            confirmed(f"Take back {back}? {losing[0].upper()}{losing[1:]}.", yes)
    with stopping_says(_UNDONE):
        schema.downgrade(url, to, report=output.note)
    _tell_where(schema.current(url), as_json)


def _tasks(url: str) -> int:
    from uuid import UUID

    from taskcore import admin

    with admin.connected(url) as session:
        return admin.count_between(session, UUID(int=0), UUID(int=2**128 - 1))


def _known(to: str) -> str:
    if to != "head":
        _index(to)
    return to


def _index(to: str) -> int:
    """The place of a revision in the history; what is before the first is at -1."""
    from taskcore import schema

    names = ["base", *(name for name, _ in schema.history())]
    if to not in names:
        raise WrongUse(f"there is no revision {to}: there are {', '.join(names)}")
    return names.index(to) - 1


def _tell_where(at: str | None, as_json: bool) -> None:
    from taskcore import schema

    if as_json:
        output.document({"revision": at, "head": schema.head()})
    else:
        output.note(f"the schema is at {at or 'nothing'}" + (" (head)" * (at == schema.head())))
