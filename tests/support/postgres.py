"""A real PostgreSQL for the whole run, and databases in it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest
from psycopg import sql

from support.citus_stand_in import binaries
from support.sql import run_sql
from taskcore import embedded, migrations
from taskcore.testing import SETTINGS, database, template

# `block`: every migrated database counts as distributed, so every request is a transaction block.
SHAPE = os.environ.get("TASKCORE_TEST_SHAPE", "")
VERSION = int(os.environ.get("TASKCORE_TEST_PG", "18"))


@contextmanager
def running(place: Path, name: str, *, shared: bool = False) -> Iterator[embedded.Server]:
    """A server of this run, or of several: who sets TASKCORE_TEST_CLUSTERS erases it then."""
    kept = os.environ.get("TASKCORE_TEST_CLUSTERS")
    directory = Path(kept or place, name)
    server = embedded.start(directory, version=VERSION, settings=SETTINGS)
    if kept:
        drop_everything(server)  # of the run before
        yield server
        return
    with server:
        yield server
    if not shared:
        embedded.erase(directory)


def drop_everything(server: embedded.Server) -> None:
    """Drop the databases and roles that are not PostgreSQL's own."""
    with psycopg.connect(server.url, autocommit=True) as admin:
        made: tuple[tuple[LiteralString, LiteralString], ...] = (
            ("DROP DATABASE {} WITH (FORCE)", "SELECT datname FROM pg_database WHERE oid >= 16384"),
            ("DROP ROLE {}", "SELECT rolname FROM pg_roles WHERE oid >= 16384"),
        )
        for drop, query in made:
            for (name,) in admin.execute(query).fetchall():
                admin.execute(sql.SQL(drop).format(sql.Identifier(name)))


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[embedded.Server]:
    """The server; parallel workers start it in one place and so share it."""
    place = tmp_path_factory.getbasetemp()
    parallel = "PYTEST_XDIST_WORKER" in os.environ
    known = binaries(VERSION) if SHAPE == "block" else nullcontext()
    with known, running(place.parent if parallel else place, "postgres", shared=parallel) as server:
        yield server


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[embedded.Server]:
    """A server of this test's own, for what concerns its roles or its end."""
    directory = tmp_path / "cluster"
    with embedded.start(directory, version=VERSION, settings=SETTINGS) as server:
        yield server
    embedded.erase(directory)


@pytest.fixture(scope="session")
def migrated(postgres: embedded.Server) -> str:
    """The name of a migrated database that nothing connects to: the others are copies of it."""
    return template(postgres, _migrate)


def _migrate(url: str) -> None:
    migrations.upgrade(url)
    if SHAPE == "block":
        run_sql(url, "CREATE EXTENSION citus")
        migrations.distribute(url)


@pytest.fixture
def empty_url(postgres: embedded.Server) -> Iterator[str]:
    """A database without a schema, for this test alone."""
    with database(postgres) as url:
        yield url


@pytest.fixture
def make_database(postgres: embedded.Server) -> Iterator[Callable[[], str]]:
    """As many empty databases as the test asks for."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(database(postgres))


@pytest.fixture(scope="session")
def url(postgres: embedded.Server, migrated: str) -> Iterator[str]:
    """A migrated database, shared by the tests of a worker: each works with users of its own."""
    with database(postgres, migrated) as url:
        yield url


@pytest.fixture
def own_url(postgres: embedded.Server, migrated: str) -> Iterator[str]:
    """A migrated database for this test alone, which may spoil it."""
    with database(postgres, migrated) as url:
        yield url


@pytest.fixture(scope="session")
def _admins() -> Iterator[list[psycopg.Connection]]:
    """The connection of `admin`: nearly every test has a user made by it."""
    made: list[psycopg.Connection] = []
    yield made
    for connection in made:
        connection.close()


@pytest.fixture
def admin(url: str, _admins: list[psycopg.Connection]) -> Iterator[psycopg.Connection]:
    """The shared database as its owner sees it, past both locks."""
    if not _admins or _admins[-1].closed:
        _admins.append(psycopg.connect(url, autocommit=True, prepare_threshold=None))
    yield _admins[-1]
    if not _admins[-1].closed:
        _admins[-1].execute("DISCARD ALL")
