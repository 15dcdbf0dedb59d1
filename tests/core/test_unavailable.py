"""Lost and missing connections: which ones the driver replaces, and which ones are errors."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.counting_proxy import CountingProxy
from support.drivers import Driver
from support.row_locks import LockRow, WaitForBlocked
from taskcore import (
    AsyncDatabase,
    Database,
    DatabaseClosed,
    NoConnection,
    TaskCreate,
    create_task,
    get_task,
    list_tasks,
    toggle_task,
)

BODY = TaskCreate(title="one")


def test_a_database_that_is_not_open_raises_database_closed(url: str, alice: str) -> None:
    database = Database(url)
    with pytest.raises(DatabaseClosed):
        database.run(list_tasks(alice))
    with database:
        assert database.run(list_tasks(alice)) == []
    with pytest.raises(DatabaseClosed):
        database.run(list_tasks(alice))


async def test_an_async_database_that_is_not_open_raises_database_closed(
    url: str, alice: str
) -> None:
    database = AsyncDatabase(url)
    with pytest.raises(DatabaseClosed):
        await database.run(list_tasks(alice))
    async with database:
        assert await database.run(list_tasks(alice)) == []
    with pytest.raises(DatabaseClosed):
        await database.run(list_tasks(alice))


def test_a_connection_cut_while_idle_is_replaced_without_an_error(
    driver: Driver, counting_proxy: CountingProxy, counted_url: str, alice: str
) -> None:
    with driver(counted_url, min_size=1, max_size=1) as run:
        task = run(create_task(alice, BODY))
        before = counting_proxy.connections
        counting_proxy.cut()
        assert run(toggle_task(alice, task.id)).completed
        assert counting_proxy.connections > before, "no connection was replaced"


def test_a_full_pool_raises_no_connection(
    url: str, alice: str, lock_row: LockRow, wait_for_blocked: WaitForBlocked
) -> None:
    database = Database(url, max_size=1, pool_timeout=0.2, timeout=30)
    with ThreadPoolExecutor(1) as threads, database:
        task = database.run(create_task(alice, BODY))
        with lock_row(task):
            waiting = threads.submit(database.run, toggle_task(alice, task.id))
            wait_for_blocked()
            with pytest.raises(NoConnection) as raised:
                database.run(get_task(alice, task.id))
        assert not raised.value.outcome_unknown
        assert waiting.result(timeout=30).completed
        assert database.run(get_task(alice, task.id)).completed


async def test_a_full_async_pool_raises_no_connection(
    url: str, alice: str, lock_row: LockRow, wait_for_blocked: WaitForBlocked
) -> None:
    async with AsyncDatabase(url, max_size=1, pool_timeout=0.2, timeout=30) as database:
        task = await database.run(create_task(alice, BODY))
        with lock_row(task):
            waiting = asyncio.create_task(database.run(toggle_task(alice, task.id)))
            await asyncio.to_thread(wait_for_blocked)
            with pytest.raises(NoConnection) as raised:
                await database.run(get_task(alice, task.id))
        assert not raised.value.outcome_unknown
        assert (await waiting).completed
        assert (await database.run(get_task(alice, task.id))).completed
