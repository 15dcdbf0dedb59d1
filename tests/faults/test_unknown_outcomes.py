"""A connection that ends between statement and answer: what is repeated, and what is only said.

Reads and creates are repeated once and succeed. Of every other change the caller learns that its
outcome is unknown, and the row is as it was or as it was to be.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

import httpx
import pytest

from fix_api import Api, serving
from fix_contract import Json, create, problem
from fix_faults import Proxy, Way, behind, in_front_of

CHANGES: dict[str, tuple[str, str, Json | None]] = {
    "update": ("PUT", "", {"title": "changed"}),
    "toggle": ("PATCH", "/complete", None),
    "set": ("PATCH", "/complete", {"completed": True}),
    "delete": ("DELETE", "", None),
}
WAYS: tuple[Way, ...] = get_args(Way)


@pytest.fixture(scope="module")
def thin_wire(url: str) -> Iterator[Proxy]:
    with in_front_of(url) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def thin_api(url: str, thin_wire: Proxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    log = tmp_path_factory.mktemp("unknown") / "log"
    with serving(behind(thin_wire, url), log, {"TASKAPI_POOL_SIZE": "1"}) as api:
        yield api


@pytest.fixture
def client(thin_api: Api, alice: str) -> Iterator[httpx.Client]:
    with thin_api.client(alice) as client:
        yield client


@pytest.mark.parametrize("way", WAYS)
def test_a_read_is_repeated_and_succeeds(way: Way, client: httpx.Client, thin_wire: Proxy) -> None:
    task = create(client)
    for path, found in ((f"/api/tasks/{task['id']}", task), ("/api/tasks", [task])):
        trap = thin_wire.trap(way, 0)
        assert client.get(path).json() == found
        assert trap.sprung.is_set()


@pytest.mark.parametrize("way", WAYS)
def test_a_create_is_repeated_and_exists_once(
    way: Way, client: httpx.Client, thin_wire: Proxy
) -> None:
    create(client)
    for headers in ({}, {"Idempotency-Key": "k"}):
        trap = thin_wire.trap(way, 0)
        made = client.post("/api/tasks", json={"title": "one"}, headers=headers)
        assert trap.sprung.is_set()
        assert made.status_code == 201
        assert client.get("/api/tasks").json()[0] == made.json()
    assert len(client.get("/api/tasks").json()) == 3


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("way", WAYS)
def test_of_a_change_the_client_learns_that_nobody_knows(
    way: Way, name: str, client: httpx.Client, thin_wire: Proxy
) -> None:
    task = create(client)
    method, more, body = CHANGES[name]
    path = f"/api/tasks/{task['id']}"
    trap = thin_wire.trap(way, 0)
    response = client.request(method, path + more, json=body)
    assert trap.sprung.is_set()
    assert "unknown" in problem(response, "outcome_unknown")["detail"]
    assert int(response.headers["retry-after"]) >= 1
    # What did not reach the server did not happen; what it answered did.
    unchanged = client.get(path).json() == task
    assert unchanged == (way == "up")


@pytest.mark.parametrize("name", CHANGES)
def test_on_a_whole_wire_a_change_is_made(
    name: str, client: httpx.Client, thin_wire: Proxy
) -> None:
    """The control: a trap that is too far away."""
    task = create(client)
    method, more, body = CHANGES[name]
    trap = thin_wire.trap("up", 1_000_000)
    response = client.request(method, f"/api/tasks/{task['id']}{more}", json=body)
    assert response.status_code in (200, 204)
    assert not trap.sprung.is_set()
    thin_wire.heal()
