"""The type of each operation's result, for the type checker and at run time."""

from __future__ import annotations

from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, assert_type
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from taskcore import (
    AsyncDatabase,
    Database,
    TaskCreate,
    TaskCreated,
    TaskRead,
    TaskUpdate,
    bind_owner,
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


async def test_an_async_session_returns_a_coroutine(
    async_session: AsyncSession, alice: str
) -> None:
    started = run_in(async_session, create_task(alice, BODY))
    running = assert_type(started, Coroutine[Any, Any, TaskCreated])
    task = assert_type(await running, TaskCreated)
    assert type(task) is TaskCreated


async def test_a_forgotten_await_is_seen(async_session: AsyncSession, alice: str) -> None:
    """mypy refuses a comment that ignores nothing, so this line is an error to it."""
    with pytest.warns(RuntimeWarning, match="was never awaited"):
        run_in(async_session, create_task(alice, BODY))  # type: ignore[unused-coroutine]
    assert await run_in(async_session, list_tasks(alice)) == []


def test_a_binding_is_a_context_manager_of_the_sessions_kind(
    session: Session, async_session: AsyncSession, alice: str
) -> None:
    assert_type(bind_owner(session, alice), AbstractContextManager[None])
    assert_type(bind_owner(async_session, alice), AbstractAsyncContextManager[None])


def test_with_result_changes_the_type_of_an_operation(db: Database, alice: str) -> None:
    count = list_tasks(alice).with_result(len)
    db.run(create_task(alice, BODY))
    assert assert_type(db.run(count), int) == 1
