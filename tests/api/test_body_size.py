"""A body is counted while it arrives: above the limit it is a 413, and it is not kept in memory."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from support.api_server import Api, Serve, token
from support.http_contract import problem

LIMIT = 256 * 1024
MEGABYTE = 1024 * 1024
JSON = {"Content-Type": "application/json"}
CREATE = b'{"title": "t"}'


def peak(api: Api) -> int:
    """Return the most memory that the server ever had resident, in bytes."""
    lines = Path(f"/proc/{api.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def streamed(size: int, part: int = 65_536) -> Iterator[bytes]:
    """Yield valid JSON of this size, which is sent without a Content-Length."""
    yield CREATE
    left = size - len(CREATE)
    while left:
        yield b" " * min(part, left)
        left -= min(part, left)


@pytest.mark.parametrize("announced", [True, False], ids=["announced", "streamed"])
def test_the_limit_is_exact(announced: bool, as_alice: httpx.Client) -> None:
    def post(size: int) -> httpx.Response:
        body = CREATE.ljust(size) if announced else streamed(size)
        return as_alice.post("/api/tasks", content=body, headers=JSON)

    assert post(LIMIT).status_code == 201
    problem(post(LIMIT + 1), "body_too_large")
    assert len(as_alice.get("/api/tasks").json()) == 1


def test_every_endpoint_that_takes_a_body_has_the_limit(as_alice: httpx.Client, path: str) -> None:
    for method, at in (("POST", "/api/tasks"), ("PUT", path), ("PATCH", f"{path}/complete")):
        response = as_alice.request(method, at, content=b" " * (LIMIT + 1), headers=JSON)
        problem(response, "body_too_large")


def test_the_connection_serves_on_after_a_refused_body(api: Api, alice: str) -> None:
    with httpx.Client(
        base_url=api.base,
        headers={"Authorization": f"Bearer {token(alice)}", **JSON},
        limits=httpx.Limits(max_connections=1),
    ) as client:
        problem(client.post("/api/tasks", content=streamed(2 * MEGABYTE)), "body_too_large")
        assert client.post("/api/tasks", content=CREATE).status_code == 201


def test_a_refused_body_is_not_kept_in_memory(serve: Serve, alice: str) -> None:
    with serve() as api, api.client(alice) as client:
        before = _settled(api, client)
        response = client.post("/api/tasks", content=streamed(60 * MEGABYTE), headers=JSON)
        problem(response, "body_too_large")
        assert peak(api) - before < 20 * MEGABYTE


def test_an_accepted_body_is_kept_in_memory(serve: Serve, alice: str) -> None:
    """The control: with a higher limit the server keeps the same body and grows by its size."""
    with serve(TASKAPI_BODY_LIMIT=str(100 * MEGABYTE)) as api, api.client(alice) as client:
        before = _settled(api, client)
        response = client.post("/api/tasks", content=streamed(60 * MEGABYTE), headers=JSON)
        assert response.status_code == 201
        assert peak(api) - before > 50 * MEGABYTE


def test_the_setting_changes_the_limit(serve: Serve, alice: str) -> None:
    with serve(TASKAPI_BODY_LIMIT=str(len(CREATE))) as api, api.client(alice) as client:
        assert client.post("/api/tasks", content=CREATE, headers=JSON).status_code == 201
        response = client.post("/api/tasks", content=CREATE + b" ", headers=JSON)
        problem(response, "body_too_large")


def test_a_too_large_content_length_is_refused_before_the_body_comes(api: Api, alice: str) -> None:
    host, port = urlsplit(api.base).hostname, urlsplit(api.base).port
    with socket.create_connection((host, port or 0), timeout=30) as raw:
        lines = [
            "POST /api/tasks HTTP/1.1",
            "Host: x",
            f"Authorization: Bearer {token(alice)}",
            "Content-Type: application/json",
            f"Content-Length: {LIMIT + 1}",
        ]
        raw.sendall("".join(f"{line}\r\n" for line in [*lines, ""]).encode())
        answer = raw.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer.lower()


def _settled(api: Api, client: httpx.Client) -> int:
    for _ in range(20):
        assert client.post("/api/tasks", content=CREATE, headers=JSON).status_code == 201
    return peak(api)
