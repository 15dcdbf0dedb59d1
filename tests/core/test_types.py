"""The type of each operation's result, for the type checker and at run time."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import assert_type
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from taskcore import (
    AsyncDatabase,
    Database,
    TaskCreate,
    TaskCreated,
    TaskRead,
    TaskUpdate,
    create_task,
    delete_task,
    get_task,
    list_tasks,
    run_in,
    set_task_completed,
    toggle_task,
    update_task,
)

BODY = TaskCreate(title="one")


def test_a_driver_returns_the_type_of_the_operation(db: Database, alice: str) -> None:
    task = assert_type(db.run(create_task(alice, BODY)), TaskCreated)
    tasks = assert_type(db.run(list_tasks(alice)), list[TaskRead])
    got = assert_type(db.run(get_task(alice, task.id)), TaskRead)
    updated = assert_type(db.run(update_task(alice, task.id, TaskUpdate(title="x"))), TaskRead)
    toggled = assert_type(db.run(toggle_task(alice, task.id)), TaskRead)
    done = assert_type(db.run(set_task_completed(alice, task.id, True)), TaskRead)
    deleted = assert_type(db.run(delete_task(alice, task.id)), UUID)
    assert type(task) is TaskCreated
    assert [type(found) for found in (got, *tasks, updated, toggled, done)] == [TaskRead] * 5
    assert type(deleted) is UUID


async def test_the_async_driver_returns_the_same_types(adb: AsyncDatabase, alice: str) -> None:
    task = assert_type(await adb.run(create_task(alice, BODY)), TaskCreated)
    tasks = assert_type(await adb.run(list_tasks(alice)), list[TaskRead])
    deleted = assert_type(await adb.run(delete_task(alice, task.id)), UUID)
    assert (type(task), type(tasks), type(deleted)) == (TaskCreated, list, UUID)


def test_a_session_returns_the_result(session: Session, alice: str) -> None:
    task = assert_type(run_in(session, create_task(alice, BODY)), TaskCreated)
    tasks = assert_type(run_in(session, list_tasks(alice)), list[TaskRead])
    assert (type(task), [type(found) for found in tasks]) == (TaskCreated, [TaskRead])


async def test_an_async_session_returns_an_awaitable(
    async_session: AsyncSession, alice: str
) -> None:
    awaitable = assert_type(run_in(async_session, create_task(alice, BODY)), Awaitable[TaskCreated])
    task = assert_type(await awaitable, TaskCreated)
    assert type(task) is TaskCreated


def test_with_result_changes_the_type_of_an_operation(db: Database, alice: str) -> None:
    count = list_tasks(alice).with_result(len)
    db.run(create_task(alice, BODY))
    assert assert_type(db.run(count), int) == 1
