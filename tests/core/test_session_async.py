"""Operations inside an AsyncSession, on psycopg and on asyncpg."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from taskcore import (
    AsyncDatabase,
    NotTaskOwner,
    Op,
    SessionRefused,
    StaleTask,
    Task,
    TaskCreate,
    TaskNotFound,
    TaskUpdate,
    UnknownUser,
    create_task,
    delete_task,
    get_task,
    list_tasks,
    run_in,
    toggle_task,
    update_task,
)
from taskcore.execution.op import Row, Statement, Steps, rows

BODY = TaskCreate(title="one")
SETTINGS = text(
    "SELECT current_user, current_setting('role'), current_setting('search_path'),"
    " coalesce(current_setting('taskcore.user_id', true), '')"
)


@pytest.mark.parametrize("commits", [True, False])
async def test_an_operation_and_the_callers_objects_are_committed_together_or_not_at_all(
    commits: bool, async_session: AsyncSession, adb: AsyncDatabase, alice: str
) -> None:
    mine = Task(user_id=alice, id=uuid4(), title="by hand")
    async_session.add(mine)
    ids = {mine.id, (await run_in(async_session, create_task(alice, BODY))).id}
    assert {task.id for task in await run_in(async_session, list_tasks(alice))} == ids
    await (async_session.commit() if commits else async_session.rollback())
    found = {task.id for task in await adb.run(list_tasks(alice))}
    assert found == (ids if commits else set())


async def test_the_callers_settings_are_restored(
    async_session: AsyncSession, alice: str, bob: str
) -> None:
    await async_session.execute(text("SET LOCAL ROLE pg_monitor"))
    await async_session.execute(text("SET LOCAL search_path = pg_catalog, public"))
    before = (await async_session.execute(SETTINGS)).one()
    task = await run_in(async_session, create_task(alice, BODY))
    assert (await async_session.execute(SETTINGS)).one() == before
    for op, error in (
        (get_task(bob, task.id), NotTaskOwner),
        (get_task(alice, uuid4()), TaskNotFound),
        (toggle_task(alice, task.id, if_version=[]), StaleTask),
        (create_task("unknown", BODY), UnknownUser),
    ):
        with pytest.raises(error):
            await run_in(async_session, op)
        assert (await async_session.execute(SETTINGS)).one() == before
    toggled = await run_in(async_session, toggle_task(alice, task.id, if_version=task.updated_at))
    assert toggled.completed


async def test_the_rollback_of_a_savepoint_undoes_the_operation(
    async_session: AsyncSession, alice: str
) -> None:
    task = await run_in(async_session, create_task(alice, BODY))
    held = await async_session.get_one(Task, (alice, task.id))

    async def title() -> str:
        return await async_session.run_sync(lambda _: held.title)

    savepoint = await async_session.begin_nested()
    await run_in(async_session, update_task(alice, task.id, TaskUpdate(title="undone")))
    assert await title() == "undone"
    await savepoint.rollback()
    assert await title() == "one"


async def test_autocommit_is_refused(async_engine: AsyncEngine, alice: str) -> None:
    autocommit = async_engine.execution_options(isolation_level="AUTOCOMMIT")
    async with AsyncSession(autocommit) as session:
        with pytest.raises(SessionRefused):
            await run_in(session, create_task(alice, BODY))
    async with AsyncSession(async_engine) as session:
        assert await run_in(session, list_tasks(alice)) == []


async def test_a_failed_transaction_is_refused(async_session: AsyncSession, alice: str) -> None:
    with pytest.raises(DBAPIError):
        await async_session.execute(text("SELECT 1 / 0"))
    with pytest.raises(SessionRefused):
        await run_in(async_session, list_tasks(alice))
    await async_session.rollback()
    assert await run_in(async_session, list_tasks(alice)) == []


async def test_the_second_lock_holds_alone(
    async_session: AsyncSession, alice: str, bob: str
) -> None:
    every = text("SELECT user_id FROM public.tasks")

    def users(found: list[Row]) -> set[str]:
        return {row[0] for row in found}

    def everything(owner: str) -> Steps[list[Row]]:
        return (yield from rows(Statement(every)))

    for owner in (alice, bob):
        await run_in(async_session, create_task(owner, BODY))
    found = await run_in(async_session, Op(alice, everything, (), users))
    assert found == {alice}
    assert {alice, bob} <= set(await async_session.scalars(every))


async def test_times_are_utc_in_any_time_zone_of_the_session(
    async_session: AsyncSession, alice: str
) -> None:
    await async_session.execute(text("SET LOCAL TimeZone = 'Asia/Kolkata'"))
    task = await run_in(async_session, create_task(alice, BODY))
    toggled = await run_in(async_session, toggle_task(alice, task.id))
    for moment in (task.created_at, toggled.created_at, toggled.updated_at):
        assert moment.utcoffset() == timedelta(0)
    assert toggled.created_at == task.created_at
    assert await async_session.scalar(text("SELECT current_setting('TimeZone')")) == "Asia/Kolkata"
    assert await run_in(async_session, delete_task(alice, task.id)) == task.id
