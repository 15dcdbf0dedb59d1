"""A host application's engines and sessions on the shared database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from sqlalchemy import URL, Engine, create_engine, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session

ASYNC_DRIVERS = ["psycopg", "asyncpg"]


def sqlalchemy_url(url: str, driver: str = "psycopg") -> URL:
    return make_url(url).set(drivername=f"postgresql+{driver}")


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    engine = create_engine(sqlalchemy_url(url))
    yield engine
    engine.dispose()


# A user can't be removed while a transaction that is still open refers to it: each session ends
# before its users do.


@pytest.fixture
def session(engine: Engine, make_user: object) -> Iterator[Session]:
    with Session(engine) as session:
        yield session


@pytest.fixture(params=ASYNC_DRIVERS)
async def async_engine(url: str, request: pytest.FixtureRequest) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(sqlalchemy_url(url, request.param))
    yield engine
    await engine.dispose()


@pytest.fixture
async def async_session(
    async_engine: AsyncEngine, make_user: object
) -> AsyncIterator[AsyncSession]:
    async with AsyncSession(async_engine) as session:
        yield session
