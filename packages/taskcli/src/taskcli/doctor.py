"""`taskcli doctor`: check settings, database, schema and both locks."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from . import environment, failures, output
from .verbs import Json

if TYPE_CHECKING:
    from taskapi.settings import Settings

    from .checks import Finding

_ONLY_OWNER = (
    "not this one; only the login that owns the tasks can check drift, who may create in the "
    "schema public, the users table, the first lock, and the second one with a task "
    "(DATABASE_URL_UNPOOLED)"
)


def doctor(
    workers: Annotated[
        int,
        typer.Option(
            min=1,
            help="Number of server processes, to check that the database takes their connections.",
        ),
    ] = 1,
    as_json: Json = False,
) -> None:
    """Check settings, database, schema and locks, and print how to correct each fault.

    One line per check: OK, or what is wrong and the command that corrects it. The locks are tried
    with a task that is rolled back. Exit code 1 if a check fails.
    """
    found = []
    for finding in _findings(workers):
        found.append(finding)
        if not as_json:
            _print_finding(finding)
    ok = all(finding.ok for finding in found)
    if as_json:
        output.document({"ok": ok, "checks": [finding._asdict() for finding in found]})
    if not ok:
        raise typer.Exit(1)


def _print_finding(finding: Finding) -> None:
    verdict = output.styled("OK", fg="green") if finding.ok else output.styled("FAILED", fg="red")
    message = f" - {finding.message}" if finding.message else ""
    mend = f"; mend it with: {finding.mend}" if finding.mend else ""
    output.line(f"{finding.check}: {verdict}{output.text_of(message + mend)}")
    sys.stdout.flush()


def _findings(workers: int) -> Iterator[Finding]:
    from .checks import Finding, identity

    settings: Settings | None = None
    try:
        settings = environment.settings()
        yield Finding("configuration", True)
    except failures.WrongUse as error:
        yield Finding(
            "configuration", False, str(error), "a line in .env; taskcli config shows the settings"
        )
    if settings is not None:
        yield from identity.findings(settings)
    try:
        url, direct_url = environment.database_url(), environment.operator_url()
    except failures.WrongUse:
        return
    yield from _database_findings(url, direct_url, settings, workers)


def _database_findings(
    url: str, direct_url: str, settings: Settings | None, workers: int
) -> Iterator[Finding]:
    from taskcore import admin

    from .checks import Finding, locks, nodes, run_check, schema, server

    with ExitStack() as stack:
        connected = server.connected(url)
        yield connected.finding
        if connected.connection is None:
            return
        connection = stack.enter_context(connected.connection)
        yield from run_check("server version", lambda: server.version(connection))
        yield from run_check(
            "pooling",
            lambda: server.pooling(url, settings, shared=server.shares_connections(url)),
        )
        yield from run_check("clock", lambda: server.clock(connection))
        yield from run_check(
            "connections", lambda: server.connections(connection, settings, workers)
        )
        yield from run_check("role", lambda: locks.role(connection))
        direct = server.connected(direct_url)
        if direct.connection is not None:
            with direct.connection:
                owns = locks.may_own(direct.connection)
            if not owns:
                yield from run_check("schema", lambda: schema.revision_for_tenant(url))
                yield from run_check("second lock", lambda: locks.no_row_of_others(connection))
                yield Finding("owner's login", True, _ONLY_OWNER)
                return
        yield from run_check("schema", lambda: schema.revision(direct_url))
        yield from run_check("drift", lambda: schema.drift(direct_url))
        try:
            session = stack.enter_context(admin.connected(direct_url))
        except Exception as error:
            yield Finding("owner's login", False, failures.explain(error)[0])
            return
        yield from run_check("schema public", lambda: schema.creators(session))
        yield from run_check("users table", lambda: schema.users_table(session))
        yield from run_check("first lock", lambda: locks.owner_predicate(session))
        yield from run_check("second lock", lambda: locks.row_level_security(session))
        if session.is_distributed():
            yield from run_check("nodes", lambda: nodes.reachable(connection))
