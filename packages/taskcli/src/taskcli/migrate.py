"""`taskcli migrate`: bring the schema to the revision that this code is written for."""

from __future__ import annotations

from typing import Annotated

import typer

from . import environment, output
from .failures import Failure, WrongUse, on_interrupt
from .verbs import DryRun, Json, Yes, confirm

_ROLLED_BACK = "what was under way was rolled back, and the schema is as it was"


def migrate(
    to: Annotated[
        str | None,
        typer.Option(
            metavar="REV",
            help="Stop at this revision instead of the newest; with --down, go back to this one "
            "(`base`: remove the tables).",
        ),
    ] = None,
    down: Annotated[
        bool,
        typer.Option("--down", help="Take back the last revision, or all that come after --to."),
    ] = False,
    sql: Annotated[
        bool, typer.Option("--sql", help="Print a script for psql, and change nothing.")
    ] = False,
    grant: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LOGIN",
            help="Also let this login, which the server connects as, take the tenant role. "
            "Can be repeated.",
        ),
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Only print what differs from this version; exit code 1 if something does.",
        ),
    ] = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Bring the schema to this version.

    Each revision is printed as it is applied. All of them run in one transaction; a second
    migration of the same database waits for the first. Where the extension citus is installed, the
    tasks are then spread over its nodes.
    """
    if sum((down, sql, check, bool(grant))) > 1:
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
        _go_up(to or "head", grant or [], as_json=as_json)


def _print_script(to: str | None) -> None:
    from taskcore import migrations

    output.line(migrations.sql(_known(to or "head")).rstrip())


def _check(as_json: bool) -> None:
    from taskcore import migrations

    found = migrations.check(environment.operator_url())
    if as_json:
        output.document({"ok": not found, "differences": found})
    for difference in [] if as_json else found or ["OK"]:
        output.line(difference)
    if found:
        raise Failure(
            "the schema is not what this version needs: `taskcli migrate` brings it up to date, "
            "and then `taskcli repair` puts back what has drifted"
        )


def _go_up(to: str, grants: list[str], *, as_json: bool) -> None:
    from taskcore import admin, migrations

    url = environment.operator_url()
    at, names = migrations.current(url), [name for name, _ in migrations.history()]
    if at in names and to in names and names.index(to) < names.index(at):
        raise WrongUse(f"the schema is at {at}, past {to}: `taskcli migrate --down --to {to}`")
    with on_interrupt(_ROLLED_BACK):
        migrations.upgrade(url, _known(to), report=output.note)
        if migrations.current(url) == migrations.head():
            migrations.distribute(url, report=output.note)
    with on_interrupt("the schema is migrated; run the command again for the grants"):
        if grants:
            with admin.connected(url) as session:
                for login in grants:
                    admin.grant(session, login)
                    output.note(f"{login} may take the tenant role")
    _print_revision(migrations.current(url), as_json)


def _go_down(to: str, *, yes: bool, dry_run: bool, as_json: bool) -> None:
    from taskcore import migrations

    url = environment.operator_url()
    names = [name for name, _ in migrations.history()]
    at = migrations.current(url)
    if at is None:
        raise Failure("there is nothing to take back: no migration has run here")
    if at in names:
        target = names.index(at) - 1 if to == "-1" else _position(to)
        if target >= names.index(at):
            raise WrongUse(f"the schema is at {at}, which is not after {to}")
        back = ", ".join(reversed(names[target + 1 : names.index(at) + 1]))
        lost = _count_tasks(url) if target < 0 else 0
        losing = f"with it {lost} tasks are lost for good" if target < 0 else "no task is lost"
        if dry_run:
            output.line(f"would take back {back}: {losing}")
            return
        if target < 0:
            confirm(f"Take back {back}? {losing[0].upper()}{losing[1:]}.", yes)
    with on_interrupt(_ROLLED_BACK):
        migrations.downgrade(url, to, report=output.note)
    _print_revision(migrations.current(url), as_json)


def _count_tasks(url: str) -> int:
    from uuid import UUID

    from taskcore import admin

    with admin.connected(url) as session:
        return admin.count_between(session, UUID(int=0), UUID(int=2**128 - 1))


def _known(to: str) -> str:
    """The revision, if there is one of that name."""
    if to != "head":
        _position(to)
    return to


def _position(to: str) -> int:
    """The position of a revision in the history; `base` is -1."""
    from taskcore import migrations

    names = ["base", *(name for name, _ in migrations.history())]
    if to not in names:
        raise WrongUse(f"there is no revision {to}: there are {', '.join(names)}")
    return names.index(to) - 1


def _print_revision(at: str | None, as_json: bool) -> None:
    from taskcore import migrations

    if as_json:
        output.document({"revision": at, "head": migrations.head()})
    else:
        output.note(f"the schema is at {at or 'nothing'}" + (" (head)" * (at == migrations.head())))
