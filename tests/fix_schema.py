"""What tests of migrations look at and wait for, and a cluster whose roles they may spoil."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any, LiteralString, TypeAlias
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql

from fix_postgres import SETTINGS, VERSION
from taskcore import Database, TaskCreate, create_task, embedded, get_task

Dump: TypeAlias = Callable[[str], list[str]]
Psql: TypeAlias = Callable[[str, str], "subprocess.CompletedProcess[str]"]

PASSWORD = "of-a-test"


def do(url: str, *statements: str) -> None:
    """Run statements, each in a transaction of its own."""
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def ask(url: str, query: str) -> list[Any]:
    """The first column of what a query finds."""
    with psycopg.connect(url, autocommit=True) as connection:
        return [row[0] for row in connection.execute(query.encode())]


def as_login(url: str, login: str, password: str = PASSWORD) -> str:
    """The same database for another login."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{login}:{password}@{parts.hostname}:{parts.port}"))


def operations_work(url: str, user: str) -> bool:
    """Whether a user that there is can make a task and read it again."""
    with Database(url, max_size=1) as database:
        made = database.run(create_task(user, TaskCreate(title="one")))
        return database.run(get_task(user, made.id)).title == "one"


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Poll for something that another process or session is about to do."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, f"in vain: {what}"
        time.sleep(0.01)


def wait_for_waiters(url: str, number: int, event: str = "%") -> list[int]:
    """The backends of the cluster that wait for a lock, once there are so many."""
    query = (
        "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
        f"AND wait_event LIKE '{event}'"
    )
    found: list[int] = []

    def waiting() -> bool:
        found[:] = ask(url, query)
        return len(found) >= number

    wait_until(waiting, f"{number} sessions that wait for a lock")
    return found


@pytest.fixture(scope="session")
def dump(postgres: embedded.Server) -> Dump:
    """Everything that a database's schema holds, as pg_dump writes it."""

    def lines(url: str) -> list[str]:
        command = [str(postgres.bin / "pg_dump"), "--schema-only", "--dbname", url]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        # The rest are comments and a random key.
        return [
            line
            for line in done.stdout.splitlines()
            if line and not line.startswith(("--", "\\restrict", "\\unrestrict"))
        ]

    return lines


@pytest.fixture(scope="session")
def psql(postgres: embedded.Server) -> Psql:
    """Runs a script as a DBA does."""

    def run(url: str, script: str) -> subprocess.CompletedProcess[str]:
        program = str(postgres.bin / "psql")
        command = [program, "--no-psqlrc", "--set", "ON_ERROR_STOP=1", "--dbname", url]
        return subprocess.run(command, input=script, capture_output=True, text=True, timeout=60)

    return run


@pytest.fixture(scope="session")
def _roles_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[embedded.Server]:
    directory = tmp_path_factory.mktemp("roles") / "cluster"
    with embedded.start(directory, version=VERSION, settings=SETTINGS) as server:
        yield server
    embedded.erase(directory)


@pytest.fixture
def roles(_roles_server: embedded.Server) -> Iterator[embedded.Server]:
    """A server without the tenant's role; databases and roles of the test go with it."""
    yield _roles_server
    with psycopg.connect(_roles_server.url, autocommit=True) as admin:
        made: tuple[tuple[LiteralString, LiteralString], ...] = (
            ("DROP DATABASE {} WITH (FORCE)", "SELECT datname FROM pg_database WHERE oid >= 16384"),
            ("DROP ROLE {}", "SELECT rolname FROM pg_roles WHERE oid >= 16384"),
        )
        for drop, query in made:
            for (name,) in admin.execute(query).fetchall():
                admin.execute(sql.SQL(drop).format(sql.Identifier(name)))


@pytest.fixture
def make_login(roles: embedded.Server) -> Callable[[str, str], None]:
    """A new login with these attributes."""

    def make(login: str, attributes: str) -> None:
        do(roles.url, f"CREATE ROLE {login} LOGIN PASSWORD '{PASSWORD}' {attributes}")

    return make


@pytest.fixture
def make_owned(roles: embedded.Server) -> Callable[[str], str]:
    """A new database that belongs to a login, by the URL of that login."""
    numbers = count()

    def make(login: str) -> str:
        name = f"owned_{next(numbers)}"
        do(roles.url, f"CREATE DATABASE {name} OWNER {login}")
        return as_login(roles.url_for(name), login)

    return make
