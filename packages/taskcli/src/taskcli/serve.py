"""`taskcli serve`: the API, until it is told to stop."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from . import environment, failures, output
from .failures import Failure, WrongUse

if TYPE_CHECKING:
    from taskapi.settings import Settings


def serve(
    host: Annotated[str | None, typer.Option(help="Instead of HOST.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Instead of PORT.")] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, max=256, help="Processes; instead of WEB_CONCURRENCY, else one."),
    ] = None,
    reload: Annotated[bool, typer.Option("--reload", help="Anew when its code changes.")] = False,
    log_level: Annotated[
        Literal["info", "warning", "error"], typer.Option(help="What is logged at least.")
    ] = "info",
    fd: Annotated[
        list[int] | None, typer.Option(metavar="N", help="A listening socket that was passed on.")
    ] = None,
    check: Annotated[
        bool, typer.Option(help="Whether to look at the database's schema before listening.")
    ] = True,
    leash: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Serve the API.

    Settings and schema are checked before the port is opened. With several workers, one that dies
    is replaced. SIGTERM drains: /health/ready says no for a while, then what is in flight ends.
    """
    if fd and (host or port is not None):
        raise WrongUse("--fd is a socket already: leave --host and --port away")
    for name, value in (("HOST", host), ("PORT", port)):
        if value is not None:
            environment.put(name, str(value), "flag")
    import logging

    from . import listening

    settings = environment.settings()
    number = workers or _from_environment()
    if reload and number > 1:
        raise WrongUse("--reload serves with one worker")
    if leash is not None:
        listening.end_with(leash)

    from taskapi import logs
    from taskapi.server import serve as run

    logs.configure(settings.log_format)
    logging.disable(getattr(logging, log_level.upper()) - 1)
    if check:
        _check_schema(settings)
    sockets = listening.inherited(fd) if fd else listening.bound(settings.host, settings.port)
    if leash is None:
        logging.getLogger("taskcli").info(
            "serving on %s", " and ".join(listening.addresses(sockets))
        )
    if number == 1 and not reload:
        try:
            run(settings, sockets)
        except SystemExit as end:  # uvicorn's code for a start that failed is its own
            raise typer.Exit(1 if end.code else 0) from None
        return

    from .supervisor import Supervisor

    options = ["--log-level", log_level]
    watched = source_directories() if reload else []
    if code := Supervisor(sockets, number, options, watched).run():
        raise typer.Exit(code)


def source_directories() -> list[Path]:
    """Where the code of the server is."""
    import taskapi
    import taskcore

    return [Path(str(package.__file__)).parent for package in (taskapi, taskcore)]


def _from_environment() -> int:
    text = os.environ.get("WEB_CONCURRENCY") or "1"
    if not text.isdecimal() or not 1 <= int(text) <= 256:
        raise WrongUse("WEB_CONCURRENCY must be a number of processes, 1 to 256")
    return int(text)


def _check_schema(settings: Settings) -> None:
    """Refuse to start where nothing could ever be served; what may pass is only said."""
    import logging

    from taskcore import Database, DatabaseNotReady, TaskcoreError, schema
    from taskcore.revision import database_revision

    log = logging.getLogger("taskcli")
    url = settings.database_url.get_secret_value()
    if reason := _unreachable(url):
        kind, sentence = reason
        if kind not in failures.PASSING:
            raise Failure(sentence)
        log.warning("%s; serving all the same, /health/ready says when it is there", sentence)
        return
    try:
        with Database(url, max_size=1, timeout=settings.deadline) as database:
            at = database.run(database_revision())
    except DatabaseNotReady as error:
        raise Failure(str(error).rstrip(".")) from error
    except TaskcoreError as error:
        log.warning("%s; serving all the same, /health/ready says when it is there", error)
        return
    if at is None or at in schema.older_revisions():
        raise Failure(
            f"the schema is at {at or 'nothing'}, and this version needs {schema.head()}: "
            "run `taskcli migrate`"
        )


def _unreachable(url: str) -> tuple[str | None, str] | None:
    """Why no connection can be had, if that is so."""
    import psycopg

    from taskcore.urls import libpq_conninfo

    try:
        psycopg.connect(libpq_conninfo(url), connect_timeout=5).close()
    except psycopg.Error as error:
        kind, _ = failures.kind_of_refusal(error)
        return kind, failures.refusal(error) or output.shown(error)
    return None
