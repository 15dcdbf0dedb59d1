"""503 with Retry-After, whatever keeps the database from answering; and what a write may say."""

from __future__ import annotations

import socket
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from urllib.parse import urlsplit, urlunsplit

import httpx
import psycopg

from fix_api import Serve
from fix_blocked import Blocked, Lock
from fix_contract import create, problem
from fix_wire import Wire
from taskcore import TaskRead


def unavailable(response: httpx.Response, code: str = "database_unavailable") -> None:
    problem(response, code)
    assert int(response.headers["retry-after"]) >= 1


def test_the_database_cannot_be_reached(serve: Serve, url: str, alice: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        dead = taken.getsockname()[1]
    parts = urlsplit(url)
    login = parts.netloc.rpartition("@")[0]
    gone = urlunsplit(parts._replace(netloc=f"{login}@127.0.0.1:{dead}"))
    with serve(gone, TASKAPI_DEADLINE="0.5") as api, api.client(alice) as client:
        unavailable(client.get("/api/tasks"))
        unavailable(client.post("/api/tasks", json={"title": "t"}))
        problem(client.get("/api/tasks", headers={"Authorization": ""}), "token_missing")


def test_the_schema_is_missing(serve: Serve, own_url: str, alice: str) -> None:
    with serve(own_url) as api, api.client(alice) as client:
        problem(client.get("/api/tasks"), "user_unknown")
        with psycopg.connect(own_url, autocommit=True) as admin:
            admin.execute("ALTER TABLE tasks RENAME TO tasks_away")
        unavailable(client.get("/api/tasks"))


def test_a_statement_times_out(serve: Serve, alice: str, lock: Lock) -> None:
    with serve(TASKAPI_STATEMENT_TIMEOUT="0.2") as api, api.client(alice) as client:
        task = create(client)
        with lock(TaskRead.model_validate(task)):
            # The server ended it, so that nothing was written: no unknown outcome.
            unavailable(client.put(f"/api/tasks/{task['id']}", json={"title": "late"}))
            assert client.get(f"/api/tasks/{task['id']}").json() == task
        assert client.put(f"/api/tasks/{task['id']}", json={"title": "now"}).status_code == 200


def test_the_pool_is_exhausted(serve: Serve, alice: str, lock: Lock, blocked: Blocked) -> None:
    with (
        serve(
            TASKAPI_POOL_SIZE="1",
            TASKAPI_POOL_WAIT="0.2",
            TASKAPI_DEADLINE="30",
            TASKAPI_STATEMENT_TIMEOUT="30",
        ) as api,
        api.client(alice) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        task = create(client)
        with lock(TaskRead.model_validate(task)):
            waiting = pool.submit(client.patch, f"/api/tasks/{task['id']}/complete")
            blocked()
            unavailable(client.get("/api/tasks"))
        assert waiting.result(30).json()["completed"] is True
        assert client.get("/api/tasks").status_code == 200


def test_the_queue_for_the_pool_is_full(
    serve: Serve, alice: str, lock: Lock, blocked: Blocked
) -> None:
    with (
        serve(
            TASKAPI_POOL_SIZE="1",
            TASKAPI_POOL_QUEUE="1",
            TASKAPI_DEADLINE="30",
            TASKAPI_POOL_WAIT="30",
            TASKAPI_STATEMENT_TIMEOUT="30",
        ) as api,
        api.client(alice) as client,
        ThreadPoolExecutor(3) as pool,
    ):
        task = create(client)
        with lock(TaskRead.model_validate(task)):
            first = pool.submit(client.patch, f"/api/tasks/{task['id']}/complete")
            blocked()
            # One of these two waits in the queue; there is no room for the other.
            queued = [pool.submit(client.get, "/api/tasks") for _ in range(2)]
            done, waiting = wait(queued, timeout=30, return_when=FIRST_COMPLETED)
            assert (len(done), len(waiting)) == (1, 1)
            unavailable(done.pop().result())
        assert first.result(30).status_code == 200
        assert sorted(future.result(30).status_code for future in queued) == [200, 503]


def test_a_write_that_breaks_in_flight_is_unknown(
    serve: Serve, alice: str, wire: Wire, wire_url: str, lock: Lock, blocked: Blocked
) -> None:
    with (
        serve(wire_url) as api,
        api.client(alice) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        task = create(client)
        with lock(TaskRead.model_validate(task)):
            waiting = pool.submit(client.put, f"/api/tasks/{task['id']}", json={"title": "late"})
            blocked()
            wire.cut()
            unavailable(waiting.result(30), "outcome_unknown")
        assert client.get("/api/tasks").status_code == 200


def test_the_server_serves_on_when_the_connection_was_lost(
    serve: Serve, alice: str, wire: Wire, wire_url: str
) -> None:
    with serve(wire_url) as api, api.client(alice) as client:
        task = create(client)
        wire.cut()
        assert client.get("/api/tasks").json() == [task]
