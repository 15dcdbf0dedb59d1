"""The server of `dev` answers only for names of this machine; a production server for any name."""

from __future__ import annotations

import socket
from collections.abc import Callable

import httpx
import pytest

from support.command import Cli
from support.polling import wait_until
from support.ports import listening_socket, port_of

LOCAL = ["localhost", "LOCALHOST:3000", "127.0.0.1", "[::1]:8000", socket.gethostname()]
FOREIGN = ["evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.nip.io"]
PATHS = ["/health/live", "/openapi.json", "/docs", "/api/tasks", "/nothing"]


@pytest.fixture
def ask(cli: Cli, url: str, secret: str) -> Callable[..., httpx.Client]:
    """Start a server with these options; return a client once it answers."""

    def start(*options: str) -> httpx.Client:
        listener = listening_socket()
        address = f"http://127.0.0.1:{port_of(listener)}"
        settings = {"DATABASE_URL": url, "BETTER_AUTH_SECRET": secret}
        cli.start_on(listener, "serve", "--no-check", *options, **settings)
        wait_until(lambda: is_alive(address), "the first answer")
        return httpx.Client(base_url=address, timeout=30)

    return start


def is_alive(address: str) -> bool:
    try:
        return httpx.get(f"{address}/health/live", timeout=30).status_code == 200
    except httpx.TransportError:
        return False


def test_only_names_of_this_machine_are_answered(ask: Callable[..., httpx.Client]) -> None:
    with ask("--local-hosts-only") as client:
        for host in LOCAL:
            assert client.get("/health/live", headers={"Host": host}).status_code == 200
            assert client.get("/api/tasks", headers={"Host": host}).status_code == 401
        for host in FOREIGN:
            for path in PATHS:
                answer = client.get(path, headers={"Host": host})
                assert answer.status_code == 421
                assert answer.headers["Content-Type"] == "application/problem+json"
                assert answer.json()["code"] == "wrong_host"
                assert answer.json()["request_id"] == answer.headers["X-Request-ID"]


def test_another_server_takes_any_name(ask: Callable[..., httpx.Client]) -> None:
    """The control, and what a proxy needs."""
    with ask() as client:
        for host in (*LOCAL, *FOREIGN):
            assert client.get("/health/live", headers={"Host": host}).status_code == 200
