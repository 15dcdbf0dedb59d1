"""Users who exist for one test, and the two drivers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from uuid import uuid4

import psycopg
import pytest

from support.pgbouncer import DATABASE_OPTIONS
from taskcore import AsyncDatabase, Database


@pytest.fixture
def make_user(admin: psycopg.Connection) -> Iterator[Callable[[], str]]:
    """New users in the shared database; they and their tasks go with the test."""
    made: list[str] = []

    def make() -> str:
        made.append(f"user_{uuid4().hex}")
        admin.execute("INSERT INTO users (id) VALUES (%s)", [made[-1]])
        return made[-1]

    yield make
    admin.execute("DELETE FROM users WHERE id = ANY (%s)", [made])


@pytest.fixture
def alice(make_user: Callable[[], str]) -> str:
    return make_user()


@pytest.fixture
def bob(make_user: Callable[[], str]) -> str:
    return make_user()


@pytest.fixture
def db(served_url: str) -> Iterator[Database]:
    with Database(served_url, **DATABASE_OPTIONS) as database:
        yield database


@pytest.fixture
async def adb(served_url: str) -> AsyncIterator[AsyncDatabase]:
    async with AsyncDatabase(served_url, **DATABASE_OPTIONS) as database:
        yield database
