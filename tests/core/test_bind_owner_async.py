"""`bind_owner` on an AsyncSession, on psycopg and on asyncpg."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_scoped_session,
    async_sessionmaker,
)
from sqlmodel import col

from taskcore import (
    SessionRefused,
    Task,
    TaskCreate,
    bind_owner,
    create_task,
    list_tasks,
    run_in,
)

BODY = TaskCreate(title="one")
SETTINGS = text(
    "SELECT current_setting('role'), current_setting('search_path'),"
    " coalesce(current_setting('taskcore.user_id', true), '')"
)


async def owners(session: AsyncSession) -> set[str]:
    return set(await session.scalars(select(col(Task.user_id))))


async def test_a_read_finds_the_owners_rows_only(
    async_session: AsyncSession, alice: str, bob: str
) -> None:
    for owner in (alice, bob):
        await run_in(async_session, create_task(owner, BODY))
    before = (await async_session.execute(SETTINGS)).one()
    for owner in (alice, bob):
        async with bind_owner(async_session, owner):
            assert await owners(async_session) == {owner}
    assert (await async_session.execute(SETTINGS)).one() == before
    assert {alice, bob} <= await owners(async_session)


@pytest.mark.parametrize("end", ["commit", "rollback", "close"])
async def test_the_next_transaction_inside_the_block_is_bound_too(
    end: str, async_session: AsyncSession, alice: str, bob: str
) -> None:
    for owner in (alice, bob):
        await run_in(async_session, create_task(owner, BODY))
    await async_session.commit()
    before = (await async_session.execute(SETTINGS)).one()
    async with bind_owner(async_session, alice):
        await getattr(async_session, end)()
        assert await owners(async_session) == {alice}
    assert (await async_session.execute(SETTINGS)).one() == before


async def test_the_rollback_of_an_older_savepoint_keeps_the_binding(
    async_session: AsyncSession, alice: str
) -> None:
    before = (await async_session.execute(SETTINGS)).one()
    older = await async_session.begin_nested()
    async with bind_owner(async_session, alice):
        await older.rollback()
        assert (await async_session.execute(SETTINGS)).one()[2] == alice
    assert (await async_session.execute(SETTINGS)).one() == before


async def test_a_change_is_flushed_as_the_tenant_role(
    async_session: AsyncSession, alice: str, bob: str
) -> None:
    async with bind_owner(async_session, alice):
        async_session.add(Task(user_id=alice, id=uuid4(), title="her own"))
    await async_session.commit()
    assert [task.title for task in await run_in(async_session, list_tasks(alice))] == ["her own"]
    with pytest.raises(DBAPIError):
        async with bind_owner(async_session, alice):
            async_session.add(Task(user_id=bob, id=uuid4(), title="planted"))
    await async_session.rollback()


async def test_a_cancelled_block_restores_the_settings(
    async_session: AsyncSession, alice: str
) -> None:
    before = (await async_session.execute(SETTINGS)).one()
    inside = asyncio.Event()

    async def wait() -> None:
        async with bind_owner(async_session, alice):
            inside.set()
            await asyncio.Event().wait()

    waiting = asyncio.create_task(wait())
    await inside.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert (await async_session.execute(SETTINGS)).one() == before


async def test_a_scoped_session_is_taken(async_engine: AsyncEngine, alice: str) -> None:
    scoped = async_scoped_session(async_sessionmaker(async_engine), asyncio.current_task)
    async with bind_owner(scoped, alice):
        assert (await scoped.execute(SETTINGS)).one()[2] == alice
    assert await run_in(scoped, list_tasks(alice)) == []
    await scoped.remove()


async def test_autocommit_is_refused(async_engine: AsyncEngine, alice: str) -> None:
    autocommit = async_engine.execution_options(isolation_level="AUTOCOMMIT")
    async with AsyncSession(autocommit) as session:
        with pytest.raises(SessionRefused):
            async with bind_owner(session, alice):
                pass
        assert (await session.execute(SETTINGS)).one()[2] == ""
