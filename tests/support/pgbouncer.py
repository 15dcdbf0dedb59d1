"""PgBouncer in front of PostgreSQL: one for a test, or one for everything that a run serves.

TASKCORE_TEST_POOLER=transaction or =session puts it in front of the shared server, for the servers
and drivers under test. What a test itself looks up or prepares goes past it, as an operator does.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from support.polling import wait_until
from support.ports import free_port, listens
from taskcore import embedded
from taskcore.embedded.place import system_user

Mode: TypeAlias = Literal["transaction", "session"]
Route: TypeAlias = Callable[[str], str]

MODE = os.environ.get("TASKCORE_TEST_POOLER", "")
# Two connections are few enough that every user's statements follow other users' on each. In
# session mode a client keeps its connection, so that there have to be as many as clients.
POOL_SIZES = {"transaction": 2, "session": 60}
# A pooler on loopback has no name that ends in -pooler, so that it has to be said what it is.
DATABASE_OPTIONS: dict[str, Any] = {"prepare": False} if MODE == "transaction" else {}
SERVER_SETTINGS: dict[str, str] = {"TASKAPI_TRANSACTION_POOLER": "true"} if DATABASE_OPTIONS else {}

_CONFIGURATION = """\
[databases]
* = host={host} port={port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
pool_mode = {mode}
default_pool_size = {size}
max_client_conn = 500
auth_type = scram-sha-256
auth_file = {home}/users
auth_user = {user}
admin_users = {user}
logfile = {home}/log
# Its own is 15 seconds without a try after one that failed.
server_login_retry = 1
"""


def pgbouncer() -> str:
    """Debian's program, which is not on everybody's path."""
    found = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        pytest.fail("pgbouncer is missing: apt-get install --no-install-recommends pgbouncer")
    return found


@contextmanager
def running_pgbouncer(url: str, mode: Mode, size: int | None = None) -> Iterator[Route]:
    """PgBouncer in front of the server of a URL; the route changes that server's URLs only."""
    parts = urlsplit(url)
    assert parts.hostname and parts.port and parts.username and parts.password
    program, listen = pgbouncer(), free_port()
    # It refuses to run as root, and pytest's own folders are closed to whom root hands it over.
    user = system_user() if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="taskcore-pooler-") as name:
        home = Path(name)
        configuration = _CONFIGURATION.format(
            host=parts.hostname,
            port=parts.port,
            listen=listen,
            mode=mode,
            size=size or POOL_SIZES[mode],
            home=home,
            user=parts.username,
        )
        (home / "configuration").write_text(configuration)
        # The other logins' secrets are asked of the server by this one.
        (home / "users").write_text(f'"{parts.username}" "{parts.password}"\n')
        _give(user, home, *home.iterdir())
        with (home / "output").open("wb") as output:
            process = subprocess.Popen(
                [program, "--quiet", str(home / "configuration")],
                stdout=output,
                stderr=output,
                user=user.pw_uid if user else None,
                group=user.pw_gid if user else None,
                extra_groups=[] if user else None,
            )
        moved = f"{parts.hostname}:{listen}"

        def route(url: str) -> str:
            asked = urlsplit(url)
            login = asked.netloc.rpartition("@")[0]
            ours = (asked.hostname, asked.port) == (parts.hostname, parts.port)
            return urlunsplit(asked._replace(netloc=f"{login}@{moved}")) if ours else url

        try:
            wait_until(lambda: _serves(process, route(url), home), "an answer through the pooler")
            yield route
        finally:
            process.kill()
            process.wait(30)


def _give(user: pwd.struct_passwd | None, *paths: Path) -> None:
    for path in paths:
        if user is not None:
            os.chown(path, user.pw_uid, user.pw_gid)


def _serves(process: subprocess.Popen[bytes], url: str, home: Path) -> bool:
    if process.poll() is not None:
        pytest.fail(f"pgbouncer did not start:\n{(home / 'output').read_text()}")
    # It takes no socket, so another process may have the port: only ours is asked.
    if not listens(process.pid, urlsplit(url).port or 0):
        return False
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


@pytest.fixture(scope="session")
def through_pooler(postgres: embedded.Server) -> Iterator[Route]:
    """What a server under test is told instead of a URL of the shared PostgreSQL."""
    if MODE == "":
        yield lambda url: url
        return
    modes: dict[str, Mode] = {"transaction": "transaction", "session": "session"}
    if MODE not in modes:
        pytest.fail(f"TASKCORE_TEST_POOLER is {' or '.join(modes)}, not {MODE}")
    with running_pgbouncer(postgres.url, modes[MODE]) as route:
        yield route


@pytest.fixture(scope="session")
def served_url(url: str, through_pooler: Route) -> str:
    """The shared database, as the code under test reaches it."""
    return through_pooler(url)
