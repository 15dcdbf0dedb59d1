"""An operation that fails while it runs: what is repeated, and what is known about a write."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from support.counting_proxy import CountingProxy, proxy_for, through
from support.drivers import Driver
from support.ports import closed_port
from support.row_locks import LockRow, WaitForBlocked
from taskcore import (
    ConnectionLost,
    DatabaseUnavailable,
    DeadlineExceeded,
    NoConnection,
    TaskCreate,
    create_task,
    get_task,
    list_tasks,
    toggle_task,
)

BODY = TaskCreate(title="one")


class LosingProxy(CountingProxy):
    """Passes on what clients send; once `nobody` is a port, answers are lost and it leads there."""

    nobody: int | None = None

    def _down(self, server: socket.socket, client: socket.socket) -> None:
        while data := server.recv(65536):
            if self.nobody is not None:
                self.upstream = ("127.0.0.1", self.nobody)
                return
            client.sendall(data)


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


def test_a_statement_that_the_server_stops_changes_nothing(
    driver: Driver, url: str, alice: str, lock_row: LockRow
) -> None:
    with driver(url, statement_timeout=0.2, timeout=30) as run:
        task = run(create_task(alice, BODY))
        with lock_row(task), pytest.raises(DeadlineExceeded) as raised:
            run(toggle_task(alice, task.id))
        assert not raised.value.outcome_unknown
        assert isinstance(raised.value.__cause__, psycopg.errors.QueryCanceled)
        assert run(toggle_task(alice, task.id)).completed, "the stopped statement was applied"


def test_an_operation_is_repeated_once_after_its_backend_was_terminated(
    driver: Driver,
    url: str,
    alice: str,
    threads: ThreadPoolExecutor,
    lock_row: LockRow,
    wait_for_blocked: WaitForBlocked,
    admin: psycopg.Connection,
) -> None:
    with driver(url, timeout=30) as run:
        task = run(create_task(alice, BODY))
        toggle = toggle_task(alice, task.id)
        with lock_row(task):
            repaired = threads.submit(run, toggle)
            pid = wait_for_blocked()
            admin.execute("SELECT pg_terminate_backend(%s)", [pid])
            wait_for_blocked(but=pid)
        assert repaired.result(timeout=30).completed
        with lock_row(task):
            lost = threads.submit(run, toggle)
            pid = wait_for_blocked()
            admin.execute("SELECT pg_terminate_backend(%s)", [pid])
            admin.execute("SELECT pg_terminate_backend(%s)", [wait_for_blocked(but=pid)])
            with pytest.raises(ConnectionLost) as raised:
                lost.result(timeout=30)
        assert not raised.value.outcome_unknown, (
            "PostgreSQL reports a terminated backend, so the outcome is known"
        )
        assert isinstance(raised.value.__cause__, psycopg.errors.AdminShutdown)
        assert str(raised.value) == ConnectionLost.__doc__
        assert run(get_task(alice, task.id)).completed


def test_a_change_that_is_cut_in_flight_has_an_unknown_outcome(
    driver: Driver,
    counting_proxy: CountingProxy,
    counted_url: str,
    alice: str,
    threads: ThreadPoolExecutor,
    lock_row: LockRow,
    wait_for_blocked: WaitForBlocked,
) -> None:
    with driver(counted_url, max_size=1, timeout=30) as run:
        task = run(create_task(alice, BODY))
        with lock_row(task):
            cut = threads.submit(run, toggle_task(alice, task.id))
            wait_for_blocked()
            counting_proxy.cut()
            with pytest.raises(DatabaseUnavailable) as raised:
                cut.result(timeout=30)
        assert raised.value.outcome_unknown
        assert run(get_task(alice, task.id)).title == "one", "the next operation got no connection"


def test_a_create_that_is_cut_in_flight_is_repeated(
    driver: Driver,
    counting_proxy: CountingProxy,
    counted_url: str,
    alice: str,
    url: str,
    threads: ThreadPoolExecutor,
    wait_for_blocked: WaitForBlocked,
) -> None:
    """A create carries its id, so that it cannot be applied twice."""
    create = create_task(alice, BODY, idempotency_key="k")
    # With a second connection, the repetition could use that one before it is cut as well.
    with driver(counted_url, max_size=1, timeout=30) as run, psycopg.connect(url) as holder:
        run(list_tasks(alice))
        holder.execute(
            "INSERT INTO tasks (user_id, id, title) VALUES (%s, %s, 'conflicts')",
            [alice, create.args[0]],
        )
        repeated = threads.submit(run, create)
        pid = wait_for_blocked()
        counting_proxy.cut()
        wait_for_blocked(but=pid)
        holder.rollback()
        made = repeated.result(timeout=30)
        assert made.title == "one"
        assert [task.id for task in run(list_tasks(alice))] == [made.id]


def test_a_create_that_is_lost_and_cannot_be_repeated_has_an_unknown_outcome(
    driver: Driver, url: str, alice: str
) -> None:
    """Its repetition gets no connection, which says nothing of the first time."""
    proxy = proxy_for(url, LosingProxy)
    try:
        with (
            driver(through(proxy, url), max_size=1, timeout=1) as run,
            closed_port() as port,
        ):
            assert run(list_tasks(alice)) == []
            proxy.nobody = port
            with pytest.raises(NoConnection) as raised:
                run(create_task(alice, BODY))
            assert raised.value.outcome_unknown
            # The control: nothing of the next create was sent.
            with pytest.raises(NoConnection) as raised:
                run(create_task(alice, BODY))
            assert not raised.value.outcome_unknown
    finally:
        proxy.close()
    with driver(url) as run:
        assert [task.title for task in run(list_tasks(alice))] == ["one"]
