"""Every answer has a request id, may be cached for its user only, and has a relative Location."""

from __future__ import annotations

import re

import httpx
import pytest

from support.api_server import Api
from support.http_contract import create, varies_by

MADE = re.compile(r"[A-Za-z0-9._-]{1,64}")
GOOD = ["a", "4f1c2d3e4a5b6c7d", "A.b_c-9", "x" * 64, "-", "."]
BAD = ["", "x" * 65, "a b", "a/b", "a,b", "a\tb", "a;b", '"a"', "é", "a" * 5_000, "{}", "%00"]
PATHS = ["/api/tasks", "/api/tasks/1", "/nowhere", "/health/live", "/health/ready", "/openapi.json"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", GOOD)
def test_a_request_id_is_echoed(name: str, path: str, as_alice: httpx.Client) -> None:
    response = as_alice.get(path, headers={"X-Request-ID": name})
    assert response.headers.get_list("x-request-id") == [name]


@pytest.mark.parametrize("name", BAD)
def test_a_bad_request_id_is_replaced(name: str, as_alice: httpx.Client) -> None:
    headers = [(b"X-Request-ID", name.encode())]
    made = as_alice.get("/api/tasks", headers=headers).headers.get_list("x-request-id")
    assert len(made) == 1 and MADE.fullmatch(made[0]) and made[0] != name


def test_a_request_without_an_id_gets_a_new_one(as_alice: httpx.Client) -> None:
    made = {as_alice.get("/health/live").headers["x-request-id"] for _ in range(20)}
    assert len(made) == 20
    assert all(MADE.fullmatch(name) for name in made)


def test_an_answer_is_private_and_must_be_validated_again(as_alice: httpx.Client, api: Api) -> None:
    at = f"/api/tasks/{create(as_alice)['id']}"
    for response, status in (
        (as_alice.get("/api/tasks"), 200),
        (as_alice.get(at), 200),
        (as_alice.head(at), 200),
        (as_alice.get(at, headers={"If-None-Match": "*"}), 304),
        (as_alice.post("/api/tasks", json={"title": "t"}), 201),
        (as_alice.put(at, json={"title": "t"}), 200),
        (as_alice.patch(f"{at}/complete"), 200),
        (as_alice.get("/api/tasks", headers={"Authorization": ""}), 401),
        (as_alice.delete(at), 204),
        (as_alice.get(at), 404),
    ):
        assert response.status_code == status
        assert response.headers["cache-control"] == "private, no-cache"
        assert varies_by(response) == ["Authorization", "Origin"]


def test_a_location_is_relative(as_alice: httpx.Client) -> None:
    for headers in ({}, {"Host": "evil.example"}, {"X-Forwarded-Host": "evil.example"}):
        response = as_alice.post("/api/tasks", json={"title": "t"}, headers=headers)
        assert response.headers["location"] == f"/api/tasks/{response.json()['id']}"


def test_no_server_header_is_sent(as_alice: httpx.Client) -> None:
    assert "server" not in as_alice.get("/api/tasks").headers
