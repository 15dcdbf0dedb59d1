"""Every way of running an operation, behind one blocking call.

What an operation promises does not depend on who runs it: a test that asks for `run` is run once
for each driver and once inside each kind of session.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol, TypeAlias, TypeVar

import pytest
from sqlalchemy import URL, create_engine, make_url
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from taskcore import AsyncDatabase, Database, Op, run_in

T = TypeVar("T")

ASYNC_DRIVERS = ["psycopg", "asyncpg"]


def sqlalchemy_url(url: str, driver: str = "psycopg") -> URL:
    return make_url(url).set(drivername=f"postgresql+{driver}")


class Run(Protocol):
    def __call__(self, op: Op[T], /) -> T: ...


Runner: TypeAlias = Callable[[str], AbstractContextManager[Run]]


class Driver(Protocol):
    """A way that also takes the arguments of both databases."""

    def __call__(self, url: str, /, **terms: Any) -> AbstractContextManager[Run]: ...


@contextmanager
def blocking(url: str, /, **terms: Any) -> Iterator[Run]:
    with Database(url, **terms) as database:
        yield database.run


@contextmanager
def awaiting(url: str, /, **terms: Any) -> Iterator[Run]:
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        database = AsyncDatabase(url, **terms)

        def run(op: Op[T]) -> T:
            return runner.run(database.run(op))

        runner.run(database.open())
        try:
            yield run
        finally:
            runner.run(database.close())


@contextmanager
def in_session(url: str) -> Iterator[Run]:
    engine = create_engine(sqlalchemy_url(url))

    def run(op: Op[T]) -> T:
        with Session(engine) as session, session.begin():
            return run_in(session, op)

    try:
        yield run
    finally:
        engine.dispose()


def in_async_session(driver: str) -> Runner:
    @contextmanager
    def runner(url: str) -> Iterator[Run]:
        engine = create_async_engine(sqlalchemy_url(url, driver))

        async def committed(op: Op[T]) -> T:
            async with AsyncSession(engine) as session, session.begin():
                return await run_in(session, op)

        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:

            def run(op: Op[T]) -> T:
                return runner.run(committed(op))

            try:
                yield run
            finally:
                runner.run(engine.dispose())

    return runner


DRIVERS: dict[str, Driver] = {"Database": blocking, "AsyncDatabase": awaiting}
RUNNERS: dict[str, Runner] = {
    **DRIVERS,
    "Session": in_session,
    **{f"AsyncSession-{driver}": in_async_session(driver) for driver in ASYNC_DRIVERS},
}


@pytest.fixture(params=RUNNERS)
def runner(request: pytest.FixtureRequest) -> Runner:
    """One of the ways, for a database that the test names."""
    return RUNNERS[request.param]


@pytest.fixture
def run(runner: Runner, url: str) -> Iterator[Run]:
    """One of the ways, on the shared database."""
    with runner(url) as run:
        yield run


@pytest.fixture(params=DRIVERS)
def driver(request: pytest.FixtureRequest) -> Driver:
    """One of the two drivers, for a database that the test names."""
    return DRIVERS[request.param]
