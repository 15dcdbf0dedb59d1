"""The blocking driver's pool: how many connections there are, who waits, and what ends them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from time import monotonic

import pytest

from support.polling import wait_until
from support.ports import closed_port
from support.row_locks import LockRow, WaitForBlocked
from taskcore import (
    Database,
    DatabaseClosed,
    NoConnection,
    TaskCreate,
    create_task,
    list_tasks,
    toggle_task,
)
from taskcore.execution.op import Op, Row, Steps, rows
from taskcore.tasks import operations


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    with Database(url, min_size=0, max_size=3, timeout=30) as database:
        yield database


def _use_together(database: Database, owner: str, number: int) -> None:
    """So many operations hold a connection at one moment."""
    barrier = threading.Barrier(number)

    def steps(owner: str) -> Steps[list[Row]]:
        yield from rows(operations._LIST, owner=owner)
        barrier.wait(30)
        return (yield from rows(operations._LIST, owner=owner))

    with ThreadPoolExecutor(number) as threads:
        op: Op[list[Row]] = Op(owner, steps, (), list)
        for running in [threads.submit(database.run, op) for _ in range(number)]:
            running.result(60)


def test_connections_are_made_when_they_are_needed(database: Database, alice: str) -> None:
    assert database.stats()["pool_size"] == 0
    for _ in range(5):
        database.run(list_tasks(alice))
    assert database.stats()["pool_size"] == 1
    _use_together(database, alice, 3)
    wait_until(lambda: database.stats()["pool_available"] == 3)
    assert database.stats()["pool_size"] == 3


def test_the_least_number_is_made_at_once(url: str) -> None:
    with Database(url, min_size=2, max_size=4) as database:
        wait_until(lambda: database.stats()["pool_available"] == 2)
        assert database.stats() == {
            "pool_min": 2,
            "pool_max": 4,
            "pool_size": 2,
            "pool_available": 2,
            "requests_waiting": 0,
        }


def test_an_old_connection_is_replaced(database: Database, alice: str) -> None:
    def backend() -> int:
        pool = database._open_pool()
        loan, give_back = pool.loan()
        try:
            return pool.take(loan, monotonic() + 30).info.backend_pid
        finally:
            give_back()

    first = backend()
    assert backend() == first
    connection = database._open_pool()._idle.get_nowait()
    assert connection is not None
    connection.expires_at = monotonic()
    database._open_pool()._idle.put(connection)
    assert backend() != first
    assert database.stats()["pool_size"] == 1


def test_connections_that_nothing_needs_are_closed_one_by_one(
    database: Database, alice: str
) -> None:
    _use_together(database, alice, 3)
    wait_until(lambda: database.stats()["pool_available"] == 3)
    pool = database._open_pool()
    sizes = []
    for _ in range(5):
        # The first operation of an interval notes how many are idle; the next interval closes one.
        pool._shrink_at = monotonic()
        database.run(list_tasks(alice))
        database.run(list_tasks(alice))
        sizes.append(database.stats()["pool_size"])
    assert sizes == [3, 2, 1, 1, 1]


def test_operations_that_wait_are_served_in_turn(database: Database, alice: str) -> None:
    """Many threads on few connections: none of them waits for all that the others do."""
    turns: dict[int, int] = dict.fromkeys(range(12), 0)
    begin, stop = threading.Barrier(len(turns)), threading.Event()

    def work(name: int) -> None:
        begin.wait(30)
        while not stop.is_set():
            database.run(list_tasks(alice))
            turns[name] += 1

    with ThreadPoolExecutor(len(turns)) as threads:
        running = [threads.submit(work, name) for name in turns]
        try:
            wait_until(lambda: min(turns.values()) >= 10 or max(turns.values()) >= 300)
        finally:
            stop.set()
        for future in running:
            future.result(60)
    assert min(turns.values()) >= 10, turns


def test_only_so_many_operations_wait(
    url: str, alice: str, lock_row: LockRow, wait_for_blocked: WaitForBlocked
) -> None:
    with (
        Database(url, max_size=1, max_waiting=1, timeout=30) as database,
        ThreadPoolExecutor(2) as threads,
    ):
        task = database.run(create_task(alice, TaskCreate(title="one")))
        with lock_row(task):
            holder = threads.submit(database.run, toggle_task(alice, task.id))
            wait_for_blocked()
            waiter = threads.submit(database.run, list_tasks(alice))
            wait_until(lambda: database.stats()["requests_waiting"] == 1)
            with pytest.raises(NoConnection):
                database.run(list_tasks(alice))
        assert holder.result(30).completed
        assert len(waiter.result(30)) == 1


def test_closing_wakes_what_waits_and_lets_the_running_end(
    url: str, alice: str, lock_row: LockRow, wait_for_blocked: WaitForBlocked
) -> None:
    database = Database(url, max_size=1, timeout=30)
    database.open()
    with ThreadPoolExecutor(3) as threads:
        task = database.run(create_task(alice, TaskCreate(title="one")))
        with lock_row(task):
            holder = threads.submit(database.run, toggle_task(alice, task.id))
            wait_for_blocked()
            waiters = [threads.submit(database.run, list_tasks(alice)) for _ in range(2)]
            wait_until(lambda: database.stats()["requests_waiting"] == 2)
            pool = database._open_pool()
            database.close()
            for waiter in waiters:
                with pytest.raises(DatabaseClosed):
                    waiter.result(30)
            assert not holder.done()
        assert holder.result(30).completed
    assert pool._idle.get_nowait() is None and pool._idle.qsize() == 0, "its connection is closed"


def test_what_kept_it_from_connecting_is_the_cause() -> None:
    with (
        closed_port() as port,
        Database(f"postgresql://user@127.0.0.1:{port}/none", timeout=0.5) as database,
        pytest.raises(NoConnection) as raised,
    ):
        database.run(list_tasks("user_1"))
    assert "refused" in str(raised.value.__cause__)
