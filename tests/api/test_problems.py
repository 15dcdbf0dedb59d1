"""Every error is a problem document: the same members, a listed code, a fixed sentence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest

from support.api_server import Api, Serve, token
from support.http_contract import STATUS, Json, create, problem
from taskapi import problems

# The phrase of the status line is Python's, and older than RFC 9110 before Python 3.13.
TITLES = {413: "Content Too Large", 422: "Unprocessable Content"}
JSON = {"Content-Type": "application/json"}

Send = Callable[[httpx.Client, str], httpx.Response]


def as_user(user: str, **more: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(user, **more)}"}


REQUESTS: dict[str, Send] = {
    "token_missing": lambda c, _: c.get("/api/tasks", headers={"Authorization": ""}),
    "token_malformed": lambda c, _: c.get("/api/tasks", headers={"Authorization": "Bearer x"}),
    "token_invalid": lambda c, _: c.get("/api/tasks", headers=as_user("u", secret="s" * 40)),
    "token_expired": lambda c, _: c.get("/api/tasks", headers=as_user("u", lifetime=-600)),
    "token_not_yet_valid": lambda c, _: c.get("/api/tasks", headers=as_user("u", nbf=2**33)),
    "user_unknown": lambda c, _: c.get("/api/tasks", headers=as_user(uuid4().hex)),
    "task_not_found": lambda c, _: c.get(f"/api/tasks/{uuid4()}"),
    "route_not_found": lambda c, _: c.get("/nowhere"),
    "method_not_allowed": lambda c, _: c.patch("/api/tasks"),
    "stale_version": lambda c, at: c.delete(at, headers={"If-Match": '"1"'}),
    "invalid_json": lambda c, _: c.post("/api/tasks", content=b"{", headers=JSON),
    "unsupported_media_type": lambda c, _: c.post("/api/tasks", content=b"{}"),
    "body_too_large": lambda c, _: c.post("/api/tasks", content=b" " * 300_000),
    "validation_failed": lambda c, _: c.post("/api/tasks", json={}),
}


@pytest.mark.parametrize("code", REQUESTS)
def test_an_error_is_a_problem_document(code: str, as_alice: httpx.Client, path: str) -> None:
    response = REQUESTS[code](as_alice, path)
    document = problem(response, code)
    assert document["title"] == TITLES.get(response.status_code, response.reason_phrase)
    details = {kind.detail for kind in vars(problems).values() if isinstance(kind, problems.Kind)}
    assert document["detail"] in details
    assert document["detail"].endswith(".")
    assert ("www-authenticate" in response.headers) is (response.status_code == 401)
    assert ("allow" in response.headers) is (response.status_code == 405)
    assert "retry-after" not in response.headers
    assert as_alice.get(path).status_code == 200


def test_the_table_has_the_codes_of_the_contract_and_readiness() -> None:
    kinds = [kind for kind in vars(problems).values() if isinstance(kind, problems.Kind)]
    assert {kind.code: kind.status for kind in kinds} == {**STATUS, "not_ready": 503}
    assert len({kind.detail for kind in kinds}) == len(kinds)


@pytest.mark.parametrize("code", [code for code, status in STATUS.items() if status == 401])
def test_a_401_has_a_challenge(code: str, as_alice: httpx.Client, path: str) -> None:
    response = REQUESTS[code](as_alice, path)
    challenge = response.headers["www-authenticate"]
    if code == "token_missing":
        assert challenge == "Bearer"
    else:
        sentence = response.json()["detail"].rstrip(".")
        assert challenge == f'Bearer error="invalid_token", error_description="{sentence}"'


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_list_or_create_of_an_unknown_user_is_refused(method: str, api: Api) -> None:
    with api.client(f"user_{uuid4().hex}") as client:
        problem(client.request(method, "/api/tasks", json={"title": "t"}), "user_unknown")


OPERATIONS: dict[str, Send] = {
    "get": lambda client, at: client.get(at),
    "put": lambda client, at: client.put(at, json={"title": "taken"}),
    "complete": lambda client, at: client.patch(f"{at}/complete"),
    "set": lambda client, at: client.patch(f"{at}/complete", json={"completed": True}),
    "delete": lambda client, at: client.delete(at),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_foreign_task_is_a_403_that_has_nothing_of_it(
    name: str, as_alice: httpx.Client, as_bob: httpx.Client, task: Json, path: str
) -> None:
    refused = OPERATIONS[name](as_bob, path)
    problem(refused, "not_task_owner")
    assert not any(str(value) in refused.text for value in (task["title"], task["user_id"]))
    assert "etag" not in refused.headers
    assert as_alice.get(path).json() == task
    assert OPERATIONS[name](as_alice, path).status_code in (200, 204)


def test_a_foreign_task_can_be_hidden(serve: Serve, alice: str, bob: str) -> None:
    with (
        serve(TASKAPI_HIDE_FOREIGN_TASKS="true") as api,
        api.client(alice) as as_alice,
        api.client(bob, **{"X-Request-ID": "same"}) as as_bob,
    ):
        path = f"/api/tasks/{create(as_alice)['id']}"
        for send in OPERATIONS.values():
            hidden, absent = send(as_bob, path), send(as_bob, f"/api/tasks/{uuid4()}")
            problem(hidden, "task_not_found")
            assert hidden.content == absent.content
            assert _steady(hidden) == _steady(absent)
        assert as_alice.get(path).json()["title"] == "Buy milk"


def _steady(response: httpx.Response) -> list[tuple[str, str]]:
    return sorted((name, value) for name, value in response.headers.items() if name != "date")
