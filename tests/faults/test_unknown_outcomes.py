"""A connection that ends between statement and answer: what is repeated, and what is reported.

Reads and creates are repeated once and succeed. Any other change is reported as `outcome_unknown`,
and the row has its old or its new state.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

import httpx
import pytest

from faults.faulty_proxy import Direction, FaultyProxy, behind, proxy_for
from support.api_server import Api, serving
from support.http_contract import Json, create, problem

CHANGES: dict[str, tuple[str, str, Json | None]] = {
    "update": ("PUT", "", {"title": "changed"}),
    "toggle": ("PATCH", "/complete", None),
    "set": ("PATCH", "/complete", {"completed": True}),
    "delete": ("DELETE", "", None),
}
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)


@pytest.fixture(scope="module")
def narrow_proxy(url: str) -> Iterator[FaultyProxy]:
    with proxy_for(url) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def narrow_api(
    url: str, narrow_proxy: FaultyProxy, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Api]:
    log = tmp_path_factory.mktemp("unknown") / "log"
    with serving(behind(narrow_proxy, url), log, {"TASKAPI_POOL_SIZE": "1"}) as api:
        yield api


@pytest.fixture
def client(narrow_api: Api, alice: str) -> Iterator[httpx.Client]:
    with narrow_api.client(alice) as client:
        yield client


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_read_is_repeated_and_succeeds(
    direction: Direction, client: httpx.Client, narrow_proxy: FaultyProxy
) -> None:
    task = create(client)
    for path, found in ((f"/api/tasks/{task['id']}", task), ("/api/tasks", [task])):
        cut = narrow_proxy.cut_after(direction, 0)
        assert client.get(path).json() == found
        assert cut.done.is_set()


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_create_is_repeated_and_exists_once(
    direction: Direction, client: httpx.Client, narrow_proxy: FaultyProxy
) -> None:
    create(client)
    for headers in ({}, {"Idempotency-Key": "k"}):
        cut = narrow_proxy.cut_after(direction, 0)
        made = client.post("/api/tasks", json={"title": "one"}, headers=headers)
        assert cut.done.is_set()
        assert made.status_code == 201
        assert client.get("/api/tasks").json()[0] == made.json()
    assert len(client.get("/api/tasks").json()) == 3


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_change_is_reported_as_outcome_unknown(
    direction: Direction, name: str, client: httpx.Client, narrow_proxy: FaultyProxy
) -> None:
    task = create(client)
    method, more, body = CHANGES[name]
    path = f"/api/tasks/{task['id']}"
    cut = narrow_proxy.cut_after(direction, 0)
    response = client.request(method, path + more, json=body)
    assert cut.done.is_set()
    assert "unknown" in problem(response, "outcome_unknown")["detail"]
    assert int(response.headers["retry-after"]) >= 1
    # A statement that was cut on its way did not run; one whose answer was cut did.
    unchanged = client.get(path).json() == task
    assert unchanged == (direction == "up")


@pytest.mark.parametrize("name", CHANGES)
def test_without_a_cut_a_change_is_made(
    name: str, client: httpx.Client, narrow_proxy: FaultyProxy
) -> None:
    """Control: the cut is planned after more bytes than are sent."""
    task = create(client)
    method, more, body = CHANGES[name]
    cut = narrow_proxy.cut_after("up", 1_000_000)
    response = client.request(method, f"/api/tasks/{task['id']}{more}", json=body)
    assert response.status_code in (200, 204)
    assert not cut.done.is_set()
    narrow_proxy.heal()
