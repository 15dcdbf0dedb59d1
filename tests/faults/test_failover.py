"""After the promotion of a standby, a server whose URL names both hosts follows without restart."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import TypeAlias

import httpx
import pytest

from faults.replicated_postgres import ReplicatedPostgres
from support.api_server import Serve
from support.figures import FIRST_SUCCESS, FULL, Figure
from support.http_contract import Json, create, problem
from support.load import Load
from support.polling import wait_until

SETTINGS = {"TASKAPI_POOL_SIZE": "3", "TASKAPI_DEADLINE": "2", "TASKAPI_POOL_WAIT": "2"}
CLIENTS = 8
UNAVAILABLE = {(503, "database_unavailable"), (503, "outcome_unknown")}

Write: TypeAlias = Callable[[httpx.Client, Json], httpx.Response]
WRITES: dict[str, Write] = {
    "create": lambda client, task: client.post("/api/tasks", json={"title": "t"}),
    "update": lambda client, task: client.put(f"/api/tasks/{task['id']}", json={"title": "t"}),
    "toggle": lambda client, task: client.patch(f"/api/tasks/{task['id']}/complete"),
    "delete": lambda client, task: client.delete(f"/api/tasks/{task['id']}"),
}


@pytest.mark.parametrize("standby_first", [False, True] if FULL else [False])
def test_a_server_with_two_hosts_follows_a_promotion(
    standby_first: bool, replicated: ReplicatedPostgres, serve: Serve, figure: Figure
) -> None:
    users = [replicated.primary.new_user() for _ in range(CLIENTS)]
    keeper = replicated.primary.new_user()
    with (
        serve(replicated.both(standby_first=standby_first), **SETTINGS) as api,
        serve(replicated.primary.url, **SETTINGS) as primary_api,
        api.client(keeper) as client,
        primary_api.client(keeper) as primary_client,
    ):
        kept = create(client, title="from before")
        assert primary_client.get("/api/tasks").status_code == 200
        load = Load(api, users)
        with load.running():
            load.wait_for(50, 0.0)
            assert set(load.counts()) == {(200, "")}
            replicated.wait_for_the_standby()
            replicated.primary.kill()
            killed = monotonic()
            load.wait_for(10, killed, "database_unavailable")
            load.wait_for_health("/health/ready", 503, killed)
            # The first success may come before pg_promote returns.
            requested = monotonic()
            replicated.promote()
            took = monotonic() - requested
            seconds = load.first_success(requested)
            load.wait_for_health("/health/ready", 200, requested + seconds)
            load.wait_for(100, requested + seconds)
        assert set(load.counts()) <= {(200, ""), *UNAVAILABLE}
        assert client.get(f"/api/tasks/{kept['id']}").json() == kept
        assert create(client, title="from after")["title"] == "from after"
        assert {answer.status for path, answer in load.health if path == "/health/live"} == {200}
        # Control: a server whose URL names only the primary has no database.
        problem(primary_client.get("/api/tasks"), "database_unavailable")
    assert seconds < took + FIRST_SUCCESS
    order = "standby" if standby_first else "primary"
    figure(f"failover, {order} first: first success {seconds:.2f} s after pg_promote was called")


def test_a_write_that_reaches_a_standby_is_503_and_reads_are_answered(
    replicated: ReplicatedPostgres, serve: Serve
) -> None:
    user = replicated.primary.new_user()
    with (
        serve(replicated.primary.url) as at_primary,
        serve(replicated.standby_url) as at_standby,
        at_primary.client(user) as writer,
        at_standby.client(user) as client,
    ):
        task = create(writer)
        replicated.wait_for_the_standby()
        for write in WRITES.values():
            answer = write(client, task)
            problem(answer, "database_unavailable")
            assert int(answer.headers["retry-after"]) > 0
            assert client.get("/api/tasks").json() == [task]
            assert client.get(f"/api/tasks/{task['id']}").json() == task
        # Control: on the primary the same writes succeed.
        statuses = [write(writer, task).status_code for write in WRITES.values()]
        assert statuses == [201, 200, 200, 204]


def test_a_fenced_primary_is_replaced_by_the_host_that_accepts_writes(
    replicated: ReplicatedPostgres, serve: Serve
) -> None:
    """A fenced primary's connections stay open and answer reads; only a write shows the fence."""
    user = replicated.primary.new_user()
    with (
        serve(replicated.both(standby_first=False), **SETTINGS) as api,
        serve(replicated.primary.url, **SETTINGS) as primary_api,
        api.client(user) as client,
        primary_api.client(user) as primary_client,
    ):
        create(client)
        create(primary_client)
        replicated.wait_for_the_standby()
        replicated.fence(True)
        problem(client.post("/api/tasks", json={"title": "t"}), "database_unavailable")
        replicated.promote()
        wait_until(lambda: _creates(client), "a write that follows the promotion")
        # Each connection of the pool fails at most once.
        answers = [_creates(client) for _ in range(20)]
        assert answers.count(False) < int(SETTINGS["TASKAPI_POOL_SIZE"])
        assert all(answers[-10:])
        # Control: a server with one host refuses writes until the fence is removed.
        problem(primary_client.post("/api/tasks", json={"title": "t"}), "database_unavailable")
        assert primary_client.get("/api/tasks").status_code == 200
        replicated.fence(False)
        wait_until(lambda: _creates(primary_client), "a write without the fence")


def _creates(client: httpx.Client) -> bool:
    return client.post("/api/tasks", json={"title": "t"}).status_code == 201
