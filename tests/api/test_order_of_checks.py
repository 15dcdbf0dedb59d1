"""The order of the checks: each request has several faults, and the answer is about the first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from uuid import uuid4

import httpx
import pytest

from support.api_server import Api, Serve, token
from support.counting_proxy import CountingProxy
from support.http_contract import create, fields, problem

JSON = {"Content-Type": "application/json"}
TEXT = {"Content-Type": "text/plain"}
LARGE = b"{" * (256 * 1024 + 1)
BROKEN = b"{"


@pytest.fixture
def as_unknown(api: Api) -> Iterator[httpx.Client]:
    """A client with a valid token of a user whom the database does not know."""
    with api.client(f"user_{uuid4().hex}") as client:
        yield client


def endpoints(task: object) -> list[tuple[str, str]]:
    one = f"/api/tasks/{task}"
    return [
        ("GET", "/api/tasks"),
        ("POST", "/api/tasks"),
        ("GET", one),
        ("PUT", one),
        ("DELETE", one),
        ("PATCH", f"{one}/complete"),
    ]


BAD_TOKENS: dict[str, Callable[[], tuple[dict[str, str], str]]] = {
    "missing": lambda: ({}, "token_missing"),
    "malformed": lambda: ({"Authorization": "Bearer x"}, "token_malformed"),
    "foreign": lambda: (
        {"Authorization": f"Bearer {token('u', secret='s' * 40)}"},
        "token_invalid",
    ),
    "expired": lambda: ({"Authorization": f"Bearer {token('u', lifetime=-600)}"}, "token_expired"),
}


@pytest.mark.parametrize("name", BAD_TOKENS)
@pytest.mark.parametrize("content", [LARGE, BROKEN, b""], ids=["large", "broken", "empty"])
def test_a_bad_token_is_401_before_body_type_key_and_id_are_checked(
    name: str, content: bytes, api: Api
) -> None:
    headers, code = BAD_TOKENS[name]()
    headers |= TEXT | {"Idempotency-Key": "", "If-Match": "x"}
    with api.client() as client:
        for method, at in endpoints("no-id"):
            problem(client.request(method, at, content=content, headers=headers), code)


def test_a_refused_token_sends_nothing_to_the_database(
    serve: Serve, counting_proxy: CountingProxy, counted_url: str, alice: str
) -> None:
    with serve(counted_url) as api, api.client() as client, api.client(alice) as known:
        assert known.get("/api/tasks").status_code == 200
        # Readiness has a connection of its own, which may still be opening.
        assert client.get("/health/ready").status_code == 200
        counting_proxy.forget()
        connections = counting_proxy.connections
        for name in BAD_TOKENS:
            headers, code = BAD_TOKENS[name]()
            for method, at in endpoints(uuid4()):
                problem(client.request(method, at, headers=headers), code)
        assert not counting_proxy.messages
        assert counting_proxy.connections == connections
        # The control: the same requests with a valid token reach the database.
        for method, at in endpoints(uuid4()):
            counting_proxy.forget()
            body = {"title": "t", "completed": True} if method in ("POST", "PUT", "PATCH") else None
            known.request(method, at, json=body)
            assert counting_proxy.round_trips > 0


def test_size_is_checked_before_type_and_type_before_syntax(as_alice: httpx.Client) -> None:
    for method, at in endpoints("no-id"):
        if method in ("POST", "PUT", "PATCH"):
            for content, headers, code in (
                (LARGE, TEXT, "body_too_large"),
                (BROKEN, TEXT, "unsupported_media_type"),
                (BROKEN, JSON, "invalid_json"),
            ):
                problem(as_alice.request(method, at, content=content, headers=headers), code)


def test_the_input_is_validated_before_the_owner_is_checked(
    as_alice: httpx.Client, as_bob: httpx.Client, path: str
) -> None:
    assert fields(as_bob.put(path, json={"title": ""})) == ["title"]
    problem(as_bob.put(path, json={"title": "taken"}), "not_task_owner")
    assert as_alice.put(path, json={"title": "kept"}).status_code == 200


def test_the_owner_is_checked_before_the_version(
    as_alice: httpx.Client, as_bob: httpx.Client, path: str
) -> None:
    stale = {"If-Match": '"1"'}
    for method, at in endpoints(path.rpartition("/")[2]):
        if method in ("PUT", "DELETE", "PATCH"):
            body = {"completed": True} if method != "DELETE" else None
            problem(as_bob.request(method, at, json=body, headers=stale), "not_task_owner")
            problem(as_alice.request(method, at, json=body, headers=stale), "stale_version")
            gone = at.replace(path.rpartition("/")[2], str(uuid4()))
            problem(as_alice.request(method, gone, json=body, headers=stale), "task_not_found")


def test_an_unknown_user_is_reported_after_all_other_faults(
    as_unknown: httpx.Client, path: str
) -> None:
    create_ = ("POST", "/api/tasks")
    problem(as_unknown.request(*create_, content=BROKEN, headers=JSON), "invalid_json")
    assert fields(as_unknown.request(*create_, json={"title": ""})) == ["title"]
    assert fields(as_unknown.get("/api/tasks/no-id")) == ["path.id"]
    for method, at in endpoints(path.rpartition("/")[2]):
        body = {"title": "t", "completed": True} if method in ("POST", "PUT", "PATCH") else None
        stale = {"If-Match": '"1"'}
        problem(as_unknown.request(method, at, json=body, headers=stale), "user_unknown")


def test_the_same_requests_of_a_known_user_succeed(as_alice: httpx.Client) -> None:
    """The control."""
    task = create(as_alice)
    for method, at in endpoints(task["id"])[::-1]:
        body = {"title": "t", "completed": True} if method in ("POST", "PUT", "PATCH") else None
        if method != "DELETE":
            assert as_alice.request(method, at, json=body).status_code in (200, 201)
    assert as_alice.delete(f"/api/tasks/{task['id']}").status_code == 204
