"""`taskcli serve`: run the API until a signal stops it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from . import environment, failures, output
from .config import in_force
from .failures import Failure, WrongUse

if TYPE_CHECKING:
    from taskapi.settings import Settings


def serve(
    host: Annotated[
        str | None, typer.Option(help="Address or host name to listen on, instead of HOST.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port to listen on, instead of PORT.")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=256,
            help="Number of processes, instead of WEB_CONCURRENCY; 1 if neither is set.",
        ),
    ] = None,
    reload: Annotated[
        bool, typer.Option("--reload", help="Restart when the code of taskapi or taskcore changes.")
    ] = False,
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        typer.Option(
            help="Log messages of this level and above. Requests are logged as info; the settings, "
            "and why a request was refused, as debug."
        ),
    ] = "info",
    fd: Annotated[
        list[int] | None,
        typer.Option(
            metavar="N",
            help="Listen on this file descriptor, a socket that the parent process passed on. "
            "Can be repeated.",
        ),
    ] = None,
    check: Annotated[
        bool,
        typer.Option(help="Check the database's schema first; refuse to start if it is behind."),
    ] = True,
    parent_pipe: Annotated[int | None, typer.Option(hidden=True)] = None,
    local_hosts_only: Annotated[bool, typer.Option("--local-hosts-only", hidden=True)] = False,
) -> None:
    """Serve the API.

    Settings and schema are checked before the port is opened. With several workers, one that ends
    is replaced. SIGTERM drains: /health/ready answers 503 for a while, then requests in flight end.
    SIGHUP does the same: settings are read at the start only.
    """
    if fd and (host or port is not None):
        raise WrongUse("--fd is a socket already: leave --host and --port away")
    for name, value in (("HOST", host), ("PORT", port)):
        if value is not None:
            environment.put(name, str(value), "flag")
    import logging

    from . import sockets

    settings = environment.settings()
    number = workers or _workers_from_environment()
    if reload and number > 1:
        raise WrongUse("--reload serves with one worker")
    if parent_pipe is not None:
        sockets.stop_with_parent(parent_pipe)

    from taskapi import logs, server

    logs.configure(settings.log_format, log_level)
    for setting in in_force():
        logging.getLogger("taskcli").debug("{name} = {value} ({source})".format(**setting))
    if check:
        _check_schema(settings)
    listeners = sockets.from_descriptors(fd) if fd else sockets.bind(settings.host, settings.port)
    if parent_pipe is None:  # the supervisor has said it for its workers
        logging.getLogger("taskcli").info(
            "serving on %s", " and ".join(sockets.addresses(listeners))
        )
    if number == 1 and not reload:
        try:
            server.serve(settings, listeners, local_hosts_only=local_hosts_only)
        except SystemExit as end:  # uvicorn exits with 3 if the application can't start
            raise typer.Exit(1 if end.code else 0) from None
        return

    from .supervisor import Supervisor

    options = ["--log-level", log_level]
    watched = source_directories() if reload else []
    if code := Supervisor(listeners, number, options, watched).run():
        raise typer.Exit(code)


def source_directories() -> list[Path]:
    """The directories with the server's code."""
    import taskapi
    import taskcore

    return [Path(str(package.__file__)).parent for package in (taskapi, taskcore)]


def _workers_from_environment() -> int:
    text = os.environ.get("WEB_CONCURRENCY") or "1"
    if not text.isdecimal() or not 1 <= int(text) <= 256:
        raise WrongUse("WEB_CONCURRENCY must be a number of processes, 1 to 256")
    return int(text)


_WITHOUT_DATABASE = "%s; serving all the same, /health/ready says when it is there"


def _check_schema(settings: Settings) -> None:
    """Refuse to start if no request could succeed; for a temporary failure, only log a warning."""
    import logging

    from taskcore import Database, DatabaseNotReady, TaskcoreError, migrations

    log = logging.getLogger("taskcli")
    url = settings.database_url.get_secret_value()
    if failure := connection_failure(url):
        kind, sentence = failure
        if kind not in failures.TEMPORARY:
            raise Failure(sentence)
        log.warning(_WITHOUT_DATABASE, sentence)
        return
    try:
        with Database(url, max_size=1, timeout=settings.deadline) as database:
            at = database.run(migrations.database_revision())
    except DatabaseNotReady as error:
        raise Failure(str(error).rstrip(".")) from error
    except TaskcoreError as error:
        log.warning(_WITHOUT_DATABASE, error)
        return
    if migrations.is_behind(at):
        raise Failure(
            f"the schema is at {at or 'nothing'}, and this version needs {migrations.head()}: "
            "run `taskcli migrate`"
        )


def connection_failure(url: str) -> tuple[str | None, str] | None:
    """The kind of failure and its sentence, if no connection can be made."""
    import psycopg

    from taskcore.connections import LocalConnection
    from taskcore.urls import libpq_conninfo

    try:
        LocalConnection.open(libpq_conninfo(url), connect_timeout=5).close()
    except psycopg.Error as error:
        kind, _ = failures.connection_failure_kind(error)
        return kind, failures.connection_failure(error) or output.text_of(error)
    return None
