"""A session whose connection is gone: the caller's to roll back, and then it goes on."""

from __future__ import annotations

import psycopg
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from support.counting_proxy import CountingProxy
from support.drivers import ASYNC_DRIVERS, sqlalchemy_url
from taskcore import ConnectionLost, list_tasks, run_in

PID = text("SELECT pg_backend_pid()")


def terminate(admin: psycopg.Connection, pid: object) -> None:
    admin.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])


def is_told_so(lost: pytest.ExceptionInfo[ConnectionLost]) -> bool:
    assert not lost.value.outcome_unknown, "it was the caller's to commit"
    assert lost.value.__cause__ is not None
    return str(lost.value) == ConnectionLost.__doc__


def test_the_server_says_that_it_goes(
    session: Session, alice: str, admin: psycopg.Connection
) -> None:
    terminate(admin, session.scalar(PID))
    with pytest.raises(ConnectionLost) as lost:
        run_in(session, list_tasks(alice))
    assert is_told_so(lost)
    session.rollback()
    assert run_in(session, list_tasks(alice)) == []


async def test_the_server_says_that_it_goes_to_an_async_session(
    async_session: AsyncSession, alice: str, admin: psycopg.Connection
) -> None:
    terminate(admin, await async_session.scalar(PID))
    with pytest.raises(ConnectionLost) as lost:
        await run_in(async_session, list_tasks(alice))
    assert is_told_so(lost)
    await async_session.rollback()
    assert await run_in(async_session, list_tasks(alice)) == []


def test_the_server_says_nothing(
    counting_proxy: CountingProxy, counted_url: str, alice: str
) -> None:
    engine = create_engine(sqlalchemy_url(counted_url))
    with Session(engine) as session:
        assert run_in(session, list_tasks(alice)) == []
        counting_proxy.cut()
        with pytest.raises(ConnectionLost) as lost:
            run_in(session, list_tasks(alice))
        assert is_told_so(lost)
        session.rollback()
        assert run_in(session, list_tasks(alice)) == []
    engine.dispose()


@pytest.mark.parametrize("driver", ASYNC_DRIVERS)
async def test_the_server_says_nothing_to_an_async_session(
    driver: str, counting_proxy: CountingProxy, counted_url: str, alice: str
) -> None:
    engine = create_async_engine(sqlalchemy_url(counted_url, driver))
    async with AsyncSession(engine) as session:
        assert await run_in(session, list_tasks(alice)) == []
        counting_proxy.cut()
        with pytest.raises(ConnectionLost) as lost:
            await run_in(session, list_tasks(alice))
        assert is_told_so(lost)
        await session.rollback()
        assert await run_in(session, list_tasks(alice)) == []
    await engine.dispose()
