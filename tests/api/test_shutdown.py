"""A server that gets a stop signal ends the requests in flight and leaves no connection open."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeAlias
from uuid import uuid4

import httpx
import psycopg
import pytest

from api.shutdown import LONG_DRAIN, refuses_connections
from support.api_server import Api, Serve
from support.http_contract import create
from support.polling import wait_until
from support.row_locks import LockRow, WaitForBlocked
from taskcore import TaskRead

Change: TypeAlias = Callable[[Api, TaskRead], Future[httpx.Response]]

LONG_LIMITS = {"TASKAPI_DEADLINE": "60", "TASKAPI_STATEMENT_TIMEOUT": "60"}


@pytest.fixture
def name() -> str:
    """The application_name of the server's connections to the database."""
    return f"stops_{uuid4().hex}"


@pytest.fixture
def named_url(url: str, name: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}application_name={name}"


@pytest.fixture
def thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


def connections(admin: psycopg.Connection, name: str) -> int:
    row = admin.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s", [name]
    ).fetchone()
    assert row
    return int(row[0])


@pytest.fixture
def change(thread: ThreadPoolExecutor, alice: str) -> Change:
    """Return a function that changes a task of Alice's in the thread."""

    def put(api: Api, task: TaskRead) -> httpx.Response:
        with api.client(alice) as client:
            return client.put(f"/api/tasks/{task.id}", json={"title": "changed"})

    return lambda api, task: thread.submit(put, api, task)


def task_of(user: str, api: Api) -> TaskRead:
    with api.client(user) as client:
        return TaskRead.model_validate(create(client))


def test_what_is_in_flight_is_finished(
    serve: Serve,
    named_url: str,
    name: str,
    alice: str,
    admin: psycopg.Connection,
    lock_row: LockRow,
    wait_for_blocked: WaitForBlocked,
    change: Change,
) -> None:
    with serve(named_url, **LONG_LIMITS) as api:
        task = task_of(alice, api)
        with lock_row(task):
            answer = change(api, task)
            wait_for_blocked()
            assert connections(admin, name) >= 1
            api.process.send_signal(signal.SIGTERM)
            wait_until(lambda: refuses_connections(api), "the listener closes")
            wait_until(lambda: "Waiting for connections" in api.log.read_text(), "the server waits")
            assert api.process.poll() is None
            assert not answer.done()
        response = answer.result(30)
        assert (response.status_code, response.json()["title"]) == (200, "changed")
        assert response.headers["connection"] == "close"
        assert api.process.wait(60) == 0
        wait_until(lambda: connections(admin, name) == 0, "its connections end")
        assert "traceback" not in api.log.read_text().lower()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_connection_that_idles_keeps_nobody_waiting(
    how: signal.Signals,
    serve: Serve,
    named_url: str,
    name: str,
    alice: str,
    admin: psycopg.Connection,
) -> None:
    drain = LONG_DRAIN if how == signal.SIGINT else "0"
    with (
        serve(named_url, TASKAPI_DRAIN_SECONDS=drain) as api,
        api.client(alice) as client,
    ):
        assert client.get("/api/tasks").status_code == 200
        assert connections(admin, name) >= 1
        assert api.stop(how) == 0
        wait_until(lambda: connections(admin, name) == 0, "its connections end")
        log = api.log.read_text()
        assert "traceback" not in log.lower()
        assert ("SIGHUP: stopping as at SIGTERM" in log) is (how == signal.SIGHUP)


def test_a_second_interrupt_waits_for_nothing(
    serve: Serve,
    alice: str,
    lock_row: LockRow,
    wait_for_blocked: WaitForBlocked,
    change: Change,
) -> None:
    with serve(**LONG_LIMITS) as api:
        task = task_of(alice, api)
        with lock_row(task):
            answer = change(api, task)
            wait_for_blocked()
            api.process.send_signal(signal.SIGINT)
            wait_until(lambda: refuses_connections(api), "the listener closes")
            assert api.process.poll() is None, "the server waits for the request in flight"
            assert api.stop(signal.SIGINT) == 0
            assert "timeout graceful shutdown exceeded" not in api.log.read_text()
        cut = answer.result(30)
        assert cut.status_code == 503
        assert cut.headers["content-type"] == "application/problem+json"
        assert cut.json()["code"] == "outcome_unknown"
