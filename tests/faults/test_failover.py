"""The primary dies and its standby is promoted: a URL with both hosts follows, nobody restarts."""

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
def test_a_url_with_two_hosts_follows_a_promotion(
    standby_first: bool, replicated: ReplicatedPostgres, serve: Serve, figure: Figure
) -> None:
    users = [replicated.primary.new_user() for _ in range(CLIENTS)]
    keeper = replicated.primary.new_user()
    with (
        serve(replicated.both(standby_first=standby_first), **SETTINGS) as api,
        serve(replicated.primary.url, **SETTINGS) as left_behind,
        api.client(keeper) as client,
        left_behind.client(keeper) as lost,
    ):
        kept = create(client, title="from before")
        assert lost.get("/api/tasks").status_code == 200
        load = Load(api, users)
        with load.running():
            load.wait_for(50, 0.0)
            assert set(load.counts()) == {(200, "")}
            replicated.wait_for_the_standby()
            replicated.primary.kill()
            dead = monotonic()
            load.wait_for(10, dead, "database_unavailable")
            load.wait_for_health("/health/ready", 503, dead)
            # The first success may come before the call for the promotion is answered.
            called = monotonic()
            replicated.promote()
            took = monotonic() - called
            seconds = load.first_success(called)
            load.wait_for_health("/health/ready", 200, called + seconds)
            load.wait_for(100, called + seconds)
        assert set(load.counts()) <= {(200, ""), *UNAVAILABLE}
        assert client.get(f"/api/tasks/{kept['id']}").json() == kept
        assert create(client, title="from after")["title"] == "from after"
        assert {answer.status for path, answer in load.health if path == "/health/live"} == {200}
        # The control: who knows of the primary only is as without a database.
        problem(lost.get("/api/tasks"), "database_unavailable")
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
        # The control: nothing was wrong with them.
        statuses = [write(writer, task).status_code for write in WRITES.values()]
        assert statuses == [201, 200, 200, 204]


def test_a_primary_that_is_fenced_is_left_for_the_one_that_takes_writes(
    replicated: ReplicatedPostgres, serve: Serve
) -> None:
    """Its connections stay open and answer reads: only a refused write tells that it is fenced."""
    user = replicated.primary.new_user()
    with (
        serve(replicated.both(standby_first=False), **SETTINGS) as api,
        serve(replicated.primary.url, **SETTINGS) as left_behind,
        api.client(user) as client,
        left_behind.client(user) as stays,
    ):
        create(client)
        create(stays)
        replicated.wait_for_the_standby()
        replicated.fence(True)
        problem(client.post("/api/tasks", json={"title": "t"}), "database_unavailable")
        replicated.promote()
        wait_until(lambda: _creates(client), "a write that follows the promotion")
        # Each connection of the pool learns it once.
        answers = [_creates(client) for _ in range(20)]
        assert answers.count(False) < int(SETTINGS["TASKAPI_POOL_SIZE"])
        assert all(answers[-10:])
        # The control: with one host there is nowhere to go, until the fence is taken down.
        problem(stays.post("/api/tasks", json={"title": "t"}), "database_unavailable")
        assert stays.get("/api/tasks").status_code == 200
        replicated.fence(False)
        wait_until(lambda: _creates(stays), "a write without the fence")


def _creates(client: httpx.Client) -> bool:
    return client.post("/api/tasks", json={"title": "t"}).status_code == 201
