"""When the database does not answer, the answer is a 503 with Retry-After, for each reason."""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from urllib.parse import urlsplit, urlunsplit

import httpx
import psycopg

from support.api_server import Serve
from support.counting_proxy import CountingProxy
from support.http_contract import create, problem
from support.ports import closed_port
from support.row_locks import LockRow, WaitForBlocked
from taskcore import TaskRead


def unavailable(response: httpx.Response, code: str = "database_unavailable") -> None:
    problem(response, code)
    assert int(response.headers["retry-after"]) >= 1


def test_an_unreachable_database_is_a_503(serve: Serve, url: str, alice: str) -> None:
    parts = urlsplit(url)
    login = parts.netloc.rpartition("@")[0]
    with closed_port() as port:
        gone = urlunsplit(parts._replace(netloc=f"{login}@127.0.0.1:{port}"))
        with serve(gone, TASKAPI_DEADLINE="0.5") as api, api.client(alice) as client:
            unavailable(client.get("/api/tasks"))
            unavailable(client.post("/api/tasks", json={"title": "t"}))
            problem(client.get("/api/tasks", headers={"Authorization": ""}), "token_missing")


def test_a_missing_table_is_a_503(serve: Serve, own_url: str, alice: str) -> None:
    with serve(own_url) as api, api.client(alice) as client:
        problem(client.get("/api/tasks"), "user_unknown")
        with psycopg.connect(own_url, autocommit=True) as admin:
            admin.execute("ALTER TABLE tasks RENAME TO tasks_away")
        unavailable(client.get("/api/tasks"))


def test_a_missing_grant_is_a_503(serve: Serve, own_url: str) -> None:
    """Its SQLSTATE is 42501, as of a row that the policy refuses, which is a 500."""
    with psycopg.connect(own_url, autocommit=True) as admin:
        admin.execute("INSERT INTO users (id) VALUES ('user_1')")
        with serve(own_url) as api, api.client("user_1") as client:
            task = create(client)
            admin.execute("REVOKE INSERT, UPDATE ON tasks FROM taskcore_tenant")
            unavailable(client.post("/api/tasks", json={"title": "t"}))
            unavailable(client.put(f"/api/tasks/{task['id']}", json={"title": "t"}))
            assert client.get("/api/tasks").json() == [task]


def test_a_statement_timeout_is_a_503(serve: Serve, alice: str, lock_row: LockRow) -> None:
    with serve(TASKAPI_STATEMENT_TIMEOUT="0.2") as api, api.client(alice) as client:
        task = create(client)
        with lock_row(TaskRead.model_validate(task)):
            # PostgreSQL cancelled the statement, so the outcome is known: nothing was written.
            unavailable(client.put(f"/api/tasks/{task['id']}", json={"title": "late"}))
            assert client.get(f"/api/tasks/{task['id']}").json() == task
        assert client.put(f"/api/tasks/{task['id']}", json={"title": "now"}).status_code == 200


def test_an_exhausted_pool_is_a_503(
    serve: Serve, alice: str, lock_row: LockRow, wait_for_blocked: WaitForBlocked
) -> None:
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
        with lock_row(TaskRead.model_validate(task)):
            waiting = pool.submit(client.patch, f"/api/tasks/{task['id']}/complete")
            wait_for_blocked()
            unavailable(client.get("/api/tasks"))
        assert waiting.result(30).json()["completed"] is True
        assert client.get("/api/tasks").status_code == 200


def test_a_full_queue_for_the_pool_is_a_503(
    serve: Serve, alice: str, lock_row: LockRow, wait_for_blocked: WaitForBlocked
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
        with lock_row(TaskRead.model_validate(task)):
            first = pool.submit(client.patch, f"/api/tasks/{task['id']}/complete")
            wait_for_blocked()
            # One of these two waits in the queue of one place; the other is refused.
            queued = [pool.submit(client.get, "/api/tasks") for _ in range(2)]
            done, waiting = wait(queued, timeout=30, return_when=FIRST_COMPLETED)
            assert (len(done), len(waiting)) == (1, 1)
            unavailable(done.pop().result())
        assert first.result(30).status_code == 200
        assert sorted(future.result(30).status_code for future in queued) == [200, 503]


def test_a_write_whose_connection_breaks_has_the_outcome_unknown(
    serve: Serve,
    alice: str,
    counting_proxy: CountingProxy,
    counted_url: str,
    lock_row: LockRow,
    wait_for_blocked: WaitForBlocked,
) -> None:
    with (
        serve(counted_url) as api,
        api.client(alice) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        task = create(client)
        with lock_row(TaskRead.model_validate(task)):
            waiting = pool.submit(client.put, f"/api/tasks/{task['id']}", json={"title": "late"})
            wait_for_blocked()
            counting_proxy.cut()
            unavailable(waiting.result(30), "outcome_unknown")
        assert client.get("/api/tasks").status_code == 200


def test_the_server_serves_on_after_a_lost_connection(
    serve: Serve, alice: str, counting_proxy: CountingProxy, counted_url: str
) -> None:
    with serve(counted_url) as api, api.client(alice) as client:
        task = create(client)
        counting_proxy.cut()
        assert client.get("/api/tasks").json() == [task]
