"""What an observer is told of a run: its name, its end, and the round trips that the wire has."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from time import monotonic
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy import text

from core.batches import Batches, add_tasks, in_batches
from core.pool_connection import loop_pool_connection, pool_connection
from support.counting_proxy import CountingProxy, proxy_for, through
from support.drivers import DRIVERS, Driver, Run
from support.polling import wait_until, wait_until_async
from support.ports import closed_port
from support.row_locks import LockRow, WaitForBlocked
from taskcore import (
    AsyncDatabase,
    ConnectionLost,
    Database,
    DatabaseFault,
    NoConnection,
    NotTaskOwner,
    Op,
    OperationRefused,
    RunRecord,
    StaleTask,
    TaskCreate,
    TaskNotFound,
    TaskUpdate,
    UnknownUser,
    create_task,
    delete_task,
    get_task,
    list_tasks,
    migrations,
    set_task_completed,
    toggle_task,
    update_task,
)
from taskcore.execution import database as databases
from taskcore.execution.op import Statement, Steps, rows

OPERATIONS: dict[str, Callable[[str, UUID], Op[Any]]] = {
    "create_task": lambda owner, _: create_task(owner, TaskCreate(title="new")),
    "list_tasks": lambda owner, _: list_tasks(owner),
    "get_task": get_task,
    "update_task": lambda owner, task: update_task(owner, task, TaskUpdate(title="changed")),
    "toggle_task": toggle_task,
    "set_task_completed": lambda owner, task: set_task_completed(owner, task, True),
    "delete_task": delete_task,
}


class Seen:
    """An observer that keeps what it is told."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.records: list[RunRecord] = []

    def __call__(self, operation: str) -> Callable[[RunRecord], object]:
        self.begun.append(operation)
        return self.records.append

    @property
    def last(self) -> RunRecord:
        assert len(self.begun) == len(self.records), "each beginning has its end"
        return self.records[-1]


@contextmanager
def observed(driver: Driver, url: str, **terms: Any) -> Iterator[tuple[Run, Seen]]:
    """A driver of one connection that has asked already whose the objects are."""
    seen = Seen()
    with driver(url, observe=seen, max_size=1, **terms) as run:
        run(migrations.database_revision())
        yield run, seen


# --- round trips ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_hit_is_told_as_on_the_wire(
    name: str, driver: Driver, counting_proxy: CountingProxy, counted_url: str, alice: str
) -> None:
    with observed(driver, counted_url) as (run, seen):
        task = run(create_task(alice, TaskCreate(title="one")))
        counting_proxy.forget()
        run(OPERATIONS[name](alice, task.id))
        assert (seen.begun[-1], seen.last.operation) == (name, name)
        assert (seen.last.outcome, seen.last.error, seen.last.retries) == ("ok", None, ())
        assert seen.last.round_trips == counting_proxy.round_trips == 1
        assert 0 <= seen.last.waited < seen.last.duration


@pytest.mark.parametrize(
    "name", [name for name in OPERATIONS if name not in ("create_task", "list_tasks")]
)
def test_a_miss_is_told_with_its_second_query(
    name: str, driver: Driver, counting_proxy: CountingProxy, counted_url: str, alice: str
) -> None:
    with observed(driver, counted_url) as (run, seen):
        counting_proxy.forget()
        with pytest.raises(OperationRefused) as refused:
            run(OPERATIONS[name](alice, uuid4()))
        assert (seen.last.operation, seen.last.outcome) == (name, "miss")
        assert seen.last.error is refused.value
        assert seen.last.round_trips == counting_proxy.round_trips == 2


def test_each_reason_of_a_miss_is_told(driver: Driver, url: str, alice: str, bob: str) -> None:
    with observed(driver, url) as (run, seen):
        task = run(create_task(bob, TaskCreate(title="bob's")))
        misses: dict[type[Exception], Op[Any]] = {
            UnknownUser: list_tasks("user_of_no_one"),
            NotTaskOwner: get_task(alice, task.id),
            TaskNotFound: get_task(alice, uuid4()),
            StaleTask: toggle_task(
                bob, task.id, if_version=run(toggle_task(bob, task.id)).created_at
            ),
        }
        for reason, op in misses.items():
            with pytest.raises(reason):
                run(op)
            assert (seen.last.outcome, type(seen.last.error)) == ("miss", reason)


def test_the_question_before_the_first_operation_is_counted(
    driver: Driver, counting_proxy: CountingProxy, counted_url: str, alice: str
) -> None:
    seen = Seen()
    with driver(counted_url, observe=seen, max_size=1) as run:
        # To connect takes one more, in which no operation has a part.
        for round_trips, connecting in ((2, 1), (1, 0)):
            counting_proxy.forget()
            run(create_task(alice, TaskCreate(title="one")))
            assert seen.last.round_trips == round_trips
            assert counting_proxy.round_trips == round_trips + connecting


def test_a_list_in_batches_is_one_round_trip(
    driver: Driver,
    counting_proxy: CountingProxy,
    counted_url: str,
    admin: psycopg.Connection,
    alice: str,
) -> None:
    add_tasks(admin, alice, 600)
    with observed(driver, counted_url) as (run, seen):
        counting_proxy.forget()
        sink = Batches(awaited=driver is DRIVERS["AsyncDatabase"])
        run(in_batches(alice, sink))
        assert len(sink.taken) >= 4
        assert (seen.last.operation, seen.last.outcome) == ("list_tasks", "ok")
        assert seen.last.round_trips == counting_proxy.round_trips == 1


def test_a_block_with_its_commit_is_one_round_trip(driver: Driver, block_url: str) -> None:
    proxy = proxy_for(block_url, CountingProxy)
    try:
        with observed(driver, through(proxy, block_url)) as (run, seen):
            proxy.forget()
            run(create_task("alice", TaskCreate(title="one")))
            assert (seen.last.round_trips, proxy.messages["S"]) == (1, 2)
            proxy.forget()
            with pytest.raises(TaskNotFound):
                run(get_task("alice", uuid4()))
            assert (seen.last.round_trips, proxy.messages["S"]) == (2, 4)
    finally:
        proxy.close()


# --- repetitions ----------------------------------------------------------------------------------


def test_a_repetition_after_a_lost_connection_is_counted(
    driver: Driver, counting_proxy: CountingProxy, counted_url: str, alice: str
) -> None:
    with observed(driver, counted_url, prepare=False) as (run, seen):
        run(create_task(alice, TaskCreate(title="one")))
        assert (seen.last.retries, seen.last.round_trips) == ((), 1)  # the control
        counting_proxy.forget()
        counting_proxy.cut_at_sync = 1
        run(list_tasks(alice))
        assert (seen.last.outcome, seen.last.retries) == ("ok", ("connection_lost",))
        assert (seen.last.round_trips, counting_proxy.connections) == (2, 2)


def test_a_write_that_is_not_repeated_has_an_unknown_outcome(
    driver: Driver, counting_proxy: CountingProxy, counted_url: str, alice: str
) -> None:
    with observed(driver, counted_url, prepare=False) as (run, seen):
        task = run(create_task(alice, TaskCreate(title="one")))
        counting_proxy.forget()
        counting_proxy.cut_at_sync = 1
        with pytest.raises(ConnectionLost):
            run(toggle_task(alice, task.id))
        assert (seen.last.outcome, seen.last.retries) == ("outcome_unknown", ())
        assert seen.last.round_trips == counting_proxy.messages["S"] == 1


def test_a_repetition_without_preparing_is_counted(url: str, alice: str) -> None:
    seen = Seen()
    with Database(url, observe=seen, max_size=1) as database:
        database.run(create_task(alice, TaskCreate(title="one")))
        database.run(list_tasks(alice))
        with pool_connection(database) as connection:
            connection.execute("DEALLOCATE ALL")
        database.run(list_tasks(alice))
    assert [record.retries for record in seen.records] == [(), (), ("statement_shared",)]
    assert (seen.last.outcome, seen.last.round_trips) == ("ok", 2)


async def test_awaiting_counts_it_too(url: str, alice: str) -> None:
    seen = Seen()
    async with AsyncDatabase(url, observe=seen, max_size=1) as database:
        await database.run(create_task(alice, TaskCreate(title="one")))
        await database.run(list_tasks(alice))
        async with loop_pool_connection(database) as connection:
            await connection.execute("DEALLOCATE ALL")
        await database.run(list_tasks(alice))
    assert [record.retries for record in seen.records] == [(), (), ("statement_shared",)]
    assert (seen.last.outcome, seen.last.round_trips) == ("ok", 2)


# --- the wait for a connection --------------------------------------------------------------------


def test_a_wait_in_vain_is_told_and_no_round_trip(driver: Driver, alice: str) -> None:
    seen = Seen()
    with closed_port() as port:
        url = f"postgresql://user@127.0.0.1:{port}/none"
        with driver(url, observe=seen, pool_timeout=0.3) as run, pytest.raises(NoConnection):
            run(list_tasks(alice))
    assert (seen.last.outcome, seen.last.round_trips) == ("unavailable", 0)
    assert 0.3 <= seen.last.waited <= seen.last.duration


def assert_waits(records: list[RunRecord], held: float) -> None:
    """The first operation had the connection all this time, and the second waited for it."""
    records.sort(key=lambda record: record.operation, reverse=True)
    has, waits = records
    assert (has.operation, waits.operation) == ("toggle_task", "get_task")
    assert waits.waited >= held
    assert has.waited <= has.duration - held


def test_a_wait_for_the_connection_of_another_operation_is_told(
    url: str, alice: str, lock_row: LockRow, wait_for_blocked: WaitForBlocked
) -> None:
    seen = Seen()
    with Database(url, observe=seen, max_size=1, timeout=60) as database:
        task = database.run(create_task(alice, TaskCreate(title="one")))
        seen.records.clear()
        with ThreadPoolExecutor(2) as threads:
            with lock_row(task):
                has = threads.submit(database.run, toggle_task(alice, task.id))
                wait_for_blocked()
                waits = threads.submit(database.run, get_task(alice, task.id))
                wait_until(lambda: database.stats()["requests_waiting"] == 1)
                began = monotonic()
                wait_until(lambda: monotonic() > began + 0.1)
                held = monotonic() - began
            has.result()
            waits.result()
    assert_waits(seen.records, held)


async def test_awaiting_tells_that_wait_too(
    url: str, alice: str, lock_row: LockRow, wait_for_blocked: WaitForBlocked
) -> None:
    seen = Seen()
    async with AsyncDatabase(url, observe=seen, max_size=1, timeout=60) as database:
        task = await database.run(create_task(alice, TaskCreate(title="one")))
        seen.records.clear()
        with lock_row(task):
            has = asyncio.create_task(database.run(toggle_task(alice, task.id)))
            await asyncio.to_thread(wait_for_blocked)
            waits = asyncio.create_task(database.run(get_task(alice, task.id)))
            await wait_until_async(lambda: database.stats()["requests_waiting"] == 1)
            began = monotonic()
            await wait_until_async(lambda: monotonic() > began + 0.1)
            held = monotonic() - began
        await asyncio.gather(has, waits)
    assert_waits(seen.records, held)


# --- other ends -----------------------------------------------------------------------------------


def _faulty(owner: str) -> Steps[list[Any]]:
    return (yield from rows(Statement(text("SELECT 1 / 0"))))


def _interrupted(owner: str) -> Steps[list[Any]]:
    yield from rows(Statement(text("SELECT 1")))
    raise KeyboardInterrupt


def test_a_fault_is_told(driver: Driver, url: str, alice: str) -> None:
    with observed(driver, url) as (run, seen):
        with pytest.raises(DatabaseFault):
            run(Op(alice, _faulty, (), list))
        assert (seen.last.operation, seen.last.outcome) == ("faulty", "fault")
        assert isinstance(seen.last.error, DatabaseFault)


def test_an_interrupted_run_is_told(url: str, alice: str) -> None:
    with observed(DRIVERS["Database"], url) as (run, seen):
        with pytest.raises(KeyboardInterrupt):
            run(Op(alice, _interrupted, (), list))
        assert (seen.last.outcome, seen.last.round_trips) == ("cancelled", 1)


async def test_a_cancelled_run_is_told(
    url: str, alice: str, lock_row: LockRow, wait_for_blocked: WaitForBlocked
) -> None:
    seen = Seen()
    async with AsyncDatabase(url, observe=seen, max_size=1) as database:
        task = await database.run(create_task(alice, TaskCreate(title="one")))
        with lock_row(task):
            running = asyncio.create_task(database.run(toggle_task(alice, task.id)))
            await asyncio.to_thread(wait_for_blocked)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
    assert (seen.last.operation, seen.last.outcome) == ("toggle_task", "cancelled")
    assert seen.last.round_trips == 1


# --- the observer itself --------------------------------------------------------------------------


def test_a_record_names_neither_owner_nor_id_nor_title(
    driver: Driver, url: str, alice: str
) -> None:
    with observed(driver, url) as (run, seen):
        task = run(create_task(alice, TaskCreate(title="the title")))
        with pytest.raises(TaskNotFound):
            run(get_task(alice, uuid4()))
        run(update_task(alice, task.id, TaskUpdate(title="the title")))
        told = repr(seen.records)
    assert "update_task" in told
    assert [word for word in (alice, str(task.id), "the title") if word in told] == []


def _fails(*_: object) -> Any:
    raise RuntimeError("as the test wants")


@pytest.mark.parametrize(("observer", "when"), [(_fails, "beginning"), (lambda _: _fails, "end")])
def test_an_observer_that_fails_is_logged_and_changes_nothing(
    observer: Any, when: str, driver: Driver, url: str, alice: str, caplog: pytest.LogCaptureFixture
) -> None:
    with driver(url, observe=observer) as run:
        assert run(create_task(alice, TaskCreate(title="one"))).title == "one"
        with pytest.raises(TaskNotFound):
            run(get_task(alice, uuid4()))
    assert [record.getMessage() for record in caplog.records if record.levelno > logging.INFO] == [
        f"the observer failed at the {when} of {name}" for name in ("create_task", "get_task")
    ]


def test_without_an_observer_the_run_is_driven_as_it_is(
    driver: Driver, url: str, alice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(databases, "observed", _fails)
    with driver(url) as run:
        assert run(list_tasks(alice)) == []
    with driver(url, observe=Seen()) as run, pytest.raises(RuntimeError):
        run(list_tasks(alice))  # the control


def test_an_observer_can_be_set_later(url: str, alice: str) -> None:
    seen = Seen()
    with Database(url) as database:
        database.run(list_tasks(alice))
        database.observe = seen
        database.run(create_task(alice, TaskCreate(title="one")))
    assert seen.begun == ["create_task"]
