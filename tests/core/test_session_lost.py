"""A session whose connection is lost can be used again after the caller's rollback."""

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


def is_reported(lost: pytest.ExceptionInfo[ConnectionLost]) -> bool:
    assert not lost.value.outcome_unknown, "nothing was committed, so the outcome is known"
    assert lost.value.__cause__ is not None
    return str(lost.value) == ConnectionLost.__doc__


def test_a_terminated_backend_is_a_lost_connection(
    session: Session, alice: str, admin: psycopg.Connection
) -> None:
    terminate(admin, session.scalar(PID))
    with pytest.raises(ConnectionLost) as lost:
        run_in(session, list_tasks(alice))
    assert is_reported(lost)
    session.rollback()
    assert run_in(session, list_tasks(alice)) == []


async def test_a_terminated_backend_is_a_lost_connection_of_an_async_session(
    async_session: AsyncSession, alice: str, admin: psycopg.Connection
) -> None:
    terminate(admin, await async_session.scalar(PID))
    with pytest.raises(ConnectionLost) as lost:
        await run_in(async_session, list_tasks(alice))
    assert is_reported(lost)
    await async_session.rollback()
    assert await run_in(async_session, list_tasks(alice)) == []


def test_a_cut_is_a_lost_connection(
    counting_proxy: CountingProxy, counted_url: str, alice: str
) -> None:
    engine = create_engine(sqlalchemy_url(counted_url))
    with Session(engine) as session:
        assert run_in(session, list_tasks(alice)) == []
        counting_proxy.cut()
        with pytest.raises(ConnectionLost) as lost:
            run_in(session, list_tasks(alice))
        assert is_reported(lost)
        session.rollback()
        assert run_in(session, list_tasks(alice)) == []
    engine.dispose()


@pytest.mark.parametrize("driver", ASYNC_DRIVERS)
async def test_a_cut_is_a_lost_connection_of_an_async_session(
    driver: str, counting_proxy: CountingProxy, counted_url: str, alice: str
) -> None:
    engine = create_async_engine(sqlalchemy_url(counted_url, driver))
    async with AsyncSession(engine) as session:
        assert await run_in(session, list_tasks(alice)) == []
        counting_proxy.cut()
        with pytest.raises(ConnectionLost) as lost:
            await run_in(session, list_tasks(alice))
        assert is_reported(lost)
        await session.rollback()
        assert await run_in(session, list_tasks(alice)) == []
    await engine.dispose()
