"""CORS: the pages that may call can, and read every answer; the others are told nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from uuid import uuid4

import httpx
import pytest

from support.api_server import ORIGIN, Api, Serve, token
from support.http_contract import varies_by
from support.polling import wait_until

ALLOW_ORIGIN = "access-control-allow-origin"
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}
REQUEST_HEADERS = {
    "authorization",
    "content-type",
    "if-match",
    "if-none-match",
    "idempotency-key",
    "x-request-id",
}
EXPOSED = {
    "etag",
    "location",
    "retry-after",
    "www-authenticate",
    "x-request-id",
    "idempotency-replayed",
}
# What a browser sends along of itself, so that a preflight may name it or not.
SAFELISTED = {"accept", "accept-language", "content-language"}
STRANGERS = [
    "http://localhost:3001",
    "https://localhost:3000",
    "http://localhost:3000.evil.example",
    "http://localhost",
    "http://LOCALHOST:3000",
    "null",
    "",
]

Ask = Callable[[httpx.Client, dict[str, str]], httpx.Response]

ASK: dict[int, Ask] = {
    200: lambda client, sent: client.get("/api/tasks", headers=sent),
    201: lambda client, sent: client.post("/api/tasks", json={"title": "t"}, headers=sent),
    304: lambda client, sent: client.get("/api/tasks", headers=sent | {"If-None-Match": "*"}),
    400: lambda client, sent: client.post(
        "/api/tasks", content=b"{", headers=sent | {"Content-Type": "application/json"}
    ),
    401: lambda client, sent: client.get("/api/tasks", headers=sent | {"Authorization": ""}),
    404: lambda client, sent: client.get("/nowhere", headers=sent),
    405: lambda client, sent: client.patch("/api/tasks", headers=sent),
    413: lambda client, sent: client.post("/api/tasks", content=b" " * 300_000, headers=sent),
    415: lambda client, sent: client.post("/api/tasks", content=b"{}", headers=sent),
    422: lambda client, sent: client.get("/api/tasks/1", headers=sent),
}


def words(response: httpx.Response, name: str) -> set[str]:
    return {word.strip() for word in response.headers[name].split(",")}


def preflight(client: httpx.Client, path: str, origin: str, method: str) -> httpx.Response:
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": ",".join(sorted(REQUEST_HEADERS)),
    }
    return client.options(path, headers=headers)


@pytest.mark.parametrize("method", sorted(METHODS))
@pytest.mark.parametrize("path", ["/api/tasks", "/api/tasks/{}", "/api/tasks/{}/complete/"])
def test_a_preflight_says_what_is_allowed_for_a_day(path: str, method: str, api: Api) -> None:
    with api.client() as client:
        response = preflight(client, path.format(uuid4()), ORIGIN, method)
    assert (response.status_code, response.content) == (204, b"")
    assert response.headers[ALLOW_ORIGIN] == ORIGIN
    assert response.headers["access-control-allow-credentials"] == "true"
    assert response.headers["access-control-max-age"] == "86400"
    assert words(response, "access-control-allow-methods") == METHODS
    allowed = {name.lower() for name in words(response, "access-control-allow-headers")}
    assert allowed - SAFELISTED == REQUEST_HEADERS
    assert "Origin" in varies_by(response)


@pytest.mark.parametrize("origin", STRANGERS)
def test_a_strangers_preflight_is_not_told_that_it_may(origin: str, api: Api) -> None:
    with api.client() as client:
        response = preflight(client, "/api/tasks", origin, "GET")
        assert ALLOW_ORIGIN not in response.headers
        assert "Origin" in varies_by(response)
        assert ALLOW_ORIGIN in preflight(client, "/api/tasks", ORIGIN, "GET").headers


@pytest.mark.parametrize("origin", [ORIGIN, STRANGERS[0]], ids=["allowed", "refused"])
def test_a_preflight_has_a_request_id_and_a_line_in_the_log(origin: str, api: Api) -> None:
    with api.client(**{"X-Request-ID": f"preflight-{uuid4()}"}) as client:
        response = preflight(client, "/api/tasks", origin, "GET")
    name = response.headers["x-request-id"]
    assert name == response.request.headers["x-request-id"]
    wait_until(lambda: name in api.log.read_text(), "its line in the log")
    [line] = [json.loads(line) for line in api.log.read_text().splitlines() if name in line]
    assert (line["method"], line["status"], line["user"]) == ("OPTIONS", 204, None)


@pytest.mark.parametrize("status", ASK)
def test_a_page_may_read_every_answer(status: int, as_alice: httpx.Client) -> None:
    response = ASK[status](as_alice, {"Origin": ORIGIN})
    assert response.status_code == status
    assert response.headers[ALLOW_ORIGIN] == ORIGIN
    assert response.headers["access-control-allow-credentials"] == "true"
    exposed = {name.lower() for name in words(response, "access-control-expose-headers")}
    assert exposed == EXPOSED
    assert varies_by(response) == ["Authorization", "Origin"]


@pytest.mark.parametrize("status", ASK)
def test_a_strangers_page_may_read_none(status: int, as_alice: httpx.Client) -> None:
    for headers in ({"Origin": STRANGERS[0]}, {}):
        response = ASK[status](as_alice, headers)
        assert response.status_code == status
        assert ALLOW_ORIGIN not in response.headers
        assert varies_by(response) == ["Authorization", "Origin"]


def test_a_page_may_read_that_the_service_is_away(serve: Serve) -> None:
    dead = "postgresql://postgres@127.0.0.1:1/none"
    with serve(dead, TASKAPI_DEADLINE="0.5") as api, api.client("somebody") as client:
        response = client.get("/api/tasks", headers={"Origin": ORIGIN})
        assert (response.status_code, response.headers[ALLOW_ORIGIN]) == (503, ORIGIN)
        ready = client.get("/health/ready", headers={"Origin": ORIGIN})
        assert (ready.status_code, ready.headers[ALLOW_ORIGIN]) == (503, ORIGIN)


def test_origins_are_set_by_a_list(serve: Serve, alice: str) -> None:
    ours = ["https://app.example.com", "http://localhost:5173"]
    with serve(CORS_ORIGINS=f" {ours[0]}, {ours[1]},") as api, api.client() as client:
        sent = {"Authorization": f"Bearer {token(alice)}"}
        for origin in ours:
            response = client.get("/api/tasks", headers={**sent, "Origin": origin})
            assert (response.status_code, response.headers[ALLOW_ORIGIN]) == (200, origin)
        assert ALLOW_ORIGIN not in client.get("/api/tasks", headers={"Origin": ORIGIN}).headers


def test_a_cookie_is_nobody(api: Api, alice: str) -> None:
    with api.client(Cookie=f"token={token(alice)}; better-auth.session_token=x") as client:
        response = client.get("/api/tasks", headers={"Origin": ORIGIN})
    assert (response.status_code, response.headers[ALLOW_ORIGIN]) == (401, ORIGIN)
