"""CORS: pages of the configured origins can read every answer, and other pages none."""

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
# A browser may send these without asking, so a preflight may list them or not.
SAFELISTED = {"accept", "accept-language", "content-language"}
OTHER_ORIGINS = [
    "http://localhost:3001",
    "https://localhost:3000",
    "http://localhost:3000.evil.example",
    "http://localhost",
    "http://LOCALHOST:3000",
    "null",
    "",
]

Send = Callable[[httpx.Client, dict[str, str]], httpx.Response]

REQUESTS: dict[int, Send] = {
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
def test_a_preflight_lists_what_is_allowed_for_a_day(path: str, method: str, api: Api) -> None:
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


@pytest.mark.parametrize("origin", OTHER_ORIGINS)
def test_a_preflight_of_another_origin_is_not_allowed(origin: str, api: Api) -> None:
    with api.client() as client:
        response = preflight(client, "/api/tasks", origin, "GET")
        assert ALLOW_ORIGIN not in response.headers
        assert "Origin" in varies_by(response)
        assert ALLOW_ORIGIN in preflight(client, "/api/tasks", ORIGIN, "GET").headers


@pytest.mark.parametrize("origin", [ORIGIN, OTHER_ORIGINS[0]], ids=["allowed", "refused"])
def test_a_preflight_has_a_request_id_and_a_line_in_the_log(origin: str, api: Api) -> None:
    with api.client(**{"X-Request-ID": f"preflight-{uuid4()}"}) as client:
        response = preflight(client, "/api/tasks", origin, "GET")
    name = response.headers["x-request-id"]
    assert name == response.request.headers["x-request-id"]
    wait_until(lambda: name in api.log.read_text(), "its line in the log")
    [line] = [json.loads(line) for line in api.log.read_text().splitlines() if name in line]
    assert (line["method"], line["status"], line["user"]) == ("OPTIONS", 204, None)


@pytest.mark.parametrize("status", REQUESTS)
def test_a_page_of_an_allowed_origin_may_read_every_answer(
    status: int, as_alice: httpx.Client
) -> None:
    response = REQUESTS[status](as_alice, {"Origin": ORIGIN})
    assert response.status_code == status
    assert response.headers[ALLOW_ORIGIN] == ORIGIN
    assert response.headers["access-control-allow-credentials"] == "true"
    exposed = {name.lower() for name in words(response, "access-control-expose-headers")}
    assert exposed == EXPOSED
    assert varies_by(response) == ["Authorization", "Origin"]


@pytest.mark.parametrize("status", REQUESTS)
def test_a_page_of_another_origin_may_read_no_answer(status: int, as_alice: httpx.Client) -> None:
    for headers in ({"Origin": OTHER_ORIGINS[0]}, {}):
        response = REQUESTS[status](as_alice, headers)
        assert response.status_code == status
        assert ALLOW_ORIGIN not in response.headers
        assert varies_by(response) == ["Authorization", "Origin"]


def test_a_page_of_an_allowed_origin_may_read_a_503(serve: Serve) -> None:
    dead = "postgresql://postgres@127.0.0.1:1/none"
    with serve(dead, TASKAPI_DEADLINE="0.5") as api, api.client("user_1") as client:
        response = client.get("/api/tasks", headers={"Origin": ORIGIN})
        assert (response.status_code, response.headers[ALLOW_ORIGIN]) == (503, ORIGIN)
        ready = client.get("/health/ready", headers={"Origin": ORIGIN})
        assert (ready.status_code, ready.headers[ALLOW_ORIGIN]) == (503, ORIGIN)


def test_several_origins_can_be_configured(serve: Serve, alice: str) -> None:
    ours = ["https://app.example.com", "http://localhost:5173"]
    with serve(CORS_ORIGINS=f" {ours[0]}, {ours[1]},") as api, api.client() as client:
        sent = {"Authorization": f"Bearer {token(alice)}"}
        for origin in ours:
            response = client.get("/api/tasks", headers={**sent, "Origin": origin})
            assert (response.status_code, response.headers[ALLOW_ORIGIN]) == (200, origin)
        assert ALLOW_ORIGIN not in client.get("/api/tasks", headers={"Origin": ORIGIN}).headers


def test_a_cookie_does_not_authenticate(api: Api, alice: str) -> None:
    with api.client(Cookie=f"token={token(alice)}; better-auth.session_token=x") as client:
        response = client.get("/api/tasks", headers={"Origin": ORIGIN})
    assert (response.status_code, response.headers[ALLOW_ORIGIN]) == (401, ORIGIN)


def test_a_refused_origin_is_logged_once_with_the_value_that_would_allow_it(serve: Serve) -> None:
    vite, page = "http://localhost:5173", "http://127.0.0.1:3000"
    sent = [vite, ORIGIN, page, vite, page, "null", f"http://{'x' * 300}", "http://a b"]
    with serve() as api, api.client() as client:
        for origin in sent:
            assert preflight(client, "/api/tasks", origin, "GET").status_code == 204
        api.stop()
        lines = [json.loads(line) for line in api.log.read_text().splitlines()]
    logged = [line["message"] for line in lines if "CORS_ORIGINS" in line["message"]]
    assert logged == [
        f"pages of {origin} may not call this API: CORS_ORIGINS={ORIGIN},{origin} would allow them"
        for origin in (vite, page)
    ]


def test_the_origins_that_are_logged_are_limited(serve: Serve) -> None:
    with serve() as api, api.client() as client:
        for number in range(130):
            preflight(client, "/api/tasks", f"http://{number}.example", "GET")
        api.stop()
        assert api.log.read_text().count("CORS_ORIGINS=") == 100
