"""`taskcli doctor`: everything that has to be right, looked at."""

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


def doctor(
    workers: Annotated[
        int, typer.Option(min=1, help="How many processes serve, for the connections they need.")
    ] = 1,
    as_json: Json = False,
) -> None:
    """Check everything, and say what mends it.

    One line a check: OK, or what is wrong and the command for it. The locks are really tried, in a
    transaction that is rolled back. Exit code 1 if a check fails.
    """
    found = []
    for finding in _findings(workers):
        found.append(finding)
        if not as_json:
            _say(finding)
    well = all(finding.ok for finding in found)
    if as_json:
        output.document({"ok": well, "checks": [finding._asdict() for finding in found]})
    if not well:
        raise typer.Exit(1)


def _say(finding: Finding) -> None:
    verdict = output.painted("OK", fg="green") if finding.ok else output.painted("FAILED", fg="red")
    said = f" - {finding.message}" if finding.message else ""
    mend = f"; mend it with: {finding.mend}" if finding.mend else ""
    output.line(f"{finding.check}: {verdict}{output.shown(said + mend)}")
    sys.stdout.flush()


def _findings(workers: int) -> Iterator[Finding]:
    from .checks import Finding, identity

    settings: Settings | None = None
    try:
        settings = environment.settings()
        yield Finding("configuration", True)
    except failures.WrongUse as error:
        yield Finding("configuration", False, str(error), "a line in .env, see taskcli config")
    if settings is not None:
        yield from identity.findings(settings)
    try:
        url, direct_url = environment.database_url(), environment.operator_url()
    except failures.WrongUse:
        return
    yield from _of_the_database(url, direct_url, settings, workers)


def _of_the_database(
    url: str, direct_url: str, settings: Settings | None, workers: int
) -> Iterator[Finding]:
    from taskcore import admin

    from .checks import Finding, attempt, locks, schema, server

    with ExitStack() as stack:
        connected = server.connected(url)
        yield connected.finding
        if connected.connection is None:
            return
        connection = stack.enter_context(connected.connection)
        yield from attempt("server version", lambda: server.version(connection))
        yield from attempt("pooling", lambda: server.pooling(url, settings))
        yield from attempt("clock", lambda: server.clock(connection))
        yield from attempt("connections", lambda: server.connections(connection, settings, workers))
        yield from attempt("role", lambda: locks.role(connection))
        yield from attempt("schema", lambda: schema.at_head(direct_url))
        yield from attempt("drift", lambda: schema.drift(direct_url))
        try:
            session = stack.enter_context(admin.connected(direct_url))
        except Exception as error:
            yield Finding("owner's login", False, failures.explained(error)[0])
            return
        yield from attempt("users table", lambda: schema.users_table(session))
        yield from attempt("first lock", lambda: locks.first(session))
        yield from attempt("second lock", lambda: locks.second(session))
