"""`taskcli dev`: start a database, add a user with tasks, print a token, serve the API."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import environment, output
from .verbs import Json

if TYPE_CHECKING:
    from socket import socket

_DEMO = "demo"
_TASKS = (
    ("Read the box that `taskcli dev` prints", "It has a curl line in it.", True),
    ("Open /docs and try the API there", None, False),
    ("Point a frontend at this server", "Its origin goes into CORS_ORIGINS.", False),
    ("Run `taskcli doctor`", None, False),
)
_TOKEN_DAYS = 7
# For the port of a `taskcli dev` that is just ending.
_PORT_RETRY_SECONDS = 5.0


def dev(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on, on 127.0.0.1.")
    ] = 8000,
    data: Annotated[
        Path, typer.Option(help="Directory of the database, kept between runs.")
    ] = Path(".taskdata"),
    fresh: Annotated[
        bool,
        typer.Option("--fresh", help="Erase the database and the secret in that directory first."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Start everything for development: a database, a demo user, the API.

    The database is a PostgreSQL server of its own, with its data in .taskdata. Ctrl-C stops both
    servers. The API restarts when its code changes. It answers only for this machine's own names.
    """
    # An exit by exception, so that the with block below stops the database.
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda *_: sys.exit(0))

    from taskcore import embedded, migrations

    from . import sockets, taskdata

    taskdata.prepare(data)
    listeners = sockets.bind("127.0.0.1", port, retry_seconds=_PORT_RETRY_SECONDS)
    if fresh:
        embedded.erase(data)
        (data / "secret").unlink(missing_ok=True)
    if os.environ.get(environment.DATABASE):
        output.note(f"{environment.DATABASE} is left alone: dev starts a database of its own")
    output.note(f"starting the PostgreSQL in {data}")
    with embedded.start(data) as server:
        taskdata.ignore_in_git(data)
        environment.put(environment.DATABASE, server.url, "dev")
        environment.put("TASKAPI_DRAIN_SECONDS", "0", "dev")
        os.environ.pop(environment.DIRECT, None)
        if not os.environ.get(environment.SECRET):
            environment.put(environment.SECRET, taskdata.secret(data), "dev")
        migrations.upgrade(server.url, users_table="", report=output.note)
        _add_demo_data(server.url)
        _print_box(sockets.addresses(listeners)[0], server.url, as_json)
        _serve(listeners)
    output.note("both servers have stopped; the data are kept")


def _add_demo_data(url: str) -> None:
    """Add a user with a few tasks, on the first run."""
    from taskcore import Database, TaskCreate, admin, create_task

    with admin.connected(url) as session:
        if not admin.users_table(session).ours:
            return
        if not admin.add_user(session, _DEMO, email="demo@example.com", name="Demo"):
            return
    with Database(url, max_size=1) as database:
        for title, description, completed in reversed(_TASKS):
            task = TaskCreate(title=title, description=description, completed=completed)
            database.run(create_task(_DEMO, task))


def _print_box(address: str, url: str, as_json: bool) -> None:
    from .token import sign

    ends = int(time.time()) + _TOKEN_DAYS * 86400
    settings = environment.settings()
    token = sign(
        _DEMO,
        ends,
        os.environ[environment.SECRET],
        iss=settings.jwt_issuer,
        aud=settings.jwt_audience,
    )
    if as_json:
        output.document(
            {
                "address": address,
                "docs": f"{address}/docs",
                "user_id": _DEMO,
                "token": token,
                "database_url": url,
            }
        )
        sys.stdout.flush()
        return
    curl = f"curl {address}/api/tasks -H 'Authorization: Bearer {token}'"
    output.box(
        {
            "address": address,
            "docs": f"{address}/docs",
            "user": _DEMO,
            "token": token,
            "try": curl,
            "database": url,
        }
    )


def _serve(listeners: list[socket]) -> None:
    from taskapi import logs

    from .serve import source_directories
    from .supervisor import Supervisor

    logs.configure(environment.settings().log_format)
    # A page of another site may have its name resolved to this machine's address.
    options = ["--local-hosts-only"]
    Supervisor(listeners, 1, options, source_directories()).run()
