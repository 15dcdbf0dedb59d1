"""Every path, with and without a slash at its end, and every method."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import httpx
import pytest

from support.api_server import Api
from support.http_contract import Json, create, problem

ALLOWED = {
    "/api/tasks": "GET, HEAD, POST",
    "/api/tasks/{id}": "GET, HEAD, PUT, DELETE",
    "/api/tasks/{id}/complete": "PATCH",
    "/health/live": "GET, HEAD",
    "/health/ready": "GET, HEAD",
    "/openapi.json": "GET, HEAD",
    "/docs": "GET, HEAD",
}
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PURGE"]
REFUSED = [
    (method, path)
    for path, allowed in ALLOWED.items()
    for method in METHODS
    if method not in allowed.split(", ")
]
READABLE = [path for path, allowed in ALLOWED.items() if "HEAD" in allowed]
UNKNOWN = ["/", "/api", "/api/task", "/api/tasks//", "/api/tasks/{id}/done", "/API/tasks", "/x/y/"]


@pytest.fixture(params=[True, False], ids=["token", "no-token"])
def any_client(request: pytest.FixtureRequest, api: Api, alice: str) -> Iterator[httpx.Client]:
    with api.client(alice if request.param else None) as client:
        yield client


@pytest.mark.parametrize(("method", "path"), REFUSED)
def test_a_wrong_method_is_a_405_that_lists_the_allowed_ones(
    method: str, path: str, any_client: httpx.Client
) -> None:
    for slash in ("", "/"):
        response = any_client.request(method, path.format(id=uuid4()) + slash)
        assert response.headers["allow"] == ALLOWED[path]
        if method != "HEAD":
            problem(response, "method_not_allowed")
        else:
            assert (response.status_code, response.content) == (405, b"")


@pytest.mark.parametrize("path", ALLOWED)
def test_no_allowed_method_is_a_405(path: str, as_alice: httpx.Client, task: Json) -> None:
    """The control: no method that `Allow` lists is a 405."""
    for method in ALLOWED[path].split(", "):
        response = as_alice.request(method, path.format(id=task["id"]))
        assert response.status_code in (200, 204, 422)


@pytest.mark.parametrize("path", UNKNOWN)
def test_an_unknown_path_is_a_404_with_and_without_a_token(
    path: str, any_client: httpx.Client
) -> None:
    for method in ("GET", "POST", "DELETE"):
        problem(any_client.request(method, path.format(id=uuid4())), "route_not_found")


@pytest.mark.parametrize("path", READABLE)
def test_a_slash_at_the_end_changes_nothing(path: str, as_alice: httpx.Client, task: Json) -> None:
    plain = as_alice.get(path.format(id=task["id"]))
    slashed = as_alice.get(path.format(id=task["id"]) + "/")
    assert (plain.status_code, slashed.status_code) == (200, 200)
    assert slashed.content == plain.content
    assert not slashed.history


def test_a_write_to_a_path_with_a_slash_keeps_body_and_token(as_alice: httpx.Client) -> None:
    made = as_alice.post("/api/tasks/", json={"title": "new"})
    assert made.status_code == 201
    path = made.headers["location"]
    assert not path.endswith("/")
    assert as_alice.put(f"{path}/", json={"title": "changed"}).json()["title"] == "changed"
    toggled = as_alice.patch(f"{path}/complete/", json={"completed": True})
    assert (toggled.status_code, toggled.json()["completed"]) == (200, True)
    assert as_alice.delete(f"{path}/").status_code == 204


@pytest.mark.parametrize("path", READABLE)
def test_head_is_get_without_the_body(path: str, as_alice: httpx.Client) -> None:
    at = path.format(id=create(as_alice)["id"])
    named = {"X-Request-ID": "same", "Origin": "http://localhost:3000"}
    get, head = (as_alice.request(method, at, headers=named) for method in ("GET", "HEAD"))
    assert (get.status_code, head.status_code) == (200, 200)
    assert _steady(head) == _steady(get)
    assert head.content == b"" and get.content != b""


def test_a_refused_head_has_the_status_and_headers_of_get(as_alice: httpx.Client) -> None:
    for at, token, status in (
        ("/api/tasks", {"Authorization": ""}, 401),
        (f"/api/tasks/{uuid4()}", {}, 404),
        ("/api/tasks/1", {}, 422),
        ("/nowhere", {}, 404),
    ):
        named = {"X-Request-ID": "same", **token}
        get, head = (as_alice.request(method, at, headers=named) for method in ("GET", "HEAD"))
        assert (get.status_code, head.status_code, head.content) == (status, status, b"")
        assert _steady(head) == _steady(get)


def _steady(response: httpx.Response) -> list[tuple[str, str]]:
    return sorted((name, value) for name, value in response.headers.items() if name != "date")
