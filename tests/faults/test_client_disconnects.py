"""Clients that disconnect during a request cost the server no slot, error or descriptor."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import psutil
import psycopg
import pytest

from support.api_server import Api, Serve, token
from support.figures import FULL, Figure
from support.http_contract import create
from support.polling import wait_until

DISCONNECTS = 2_000 if FULL else 200
POOL = 2


@pytest.fixture
def small_api(serve: Serve) -> Iterator[Api]:
    with serve(TASKAPI_POOL_SIZE=str(POOL)) as api:
        yield api


def title(client: httpx.Client, id: str) -> str:
    return str(client.get(f"/api/tasks/{id}").json()["title"])


def test_clients_that_disconnect_leave_no_connection_and_no_error(
    small_api: Api, alice: str, admin: psycopg.Connection, figure: Figure
) -> None:
    rng = random.Random(0)
    parts = urlsplit(small_api.base)
    server = psutil.Process(small_api.process.pid)
    with small_api.client(alice) as client:
        task = create(client)
        before = server.num_fds()
        body = b'{"title": "disconnected"}'
        head = (
            f"PUT /api/tasks/{task['id']} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
            f"Content-Type: application/json\r\nAuthorization: Bearer {token(alice)}\r\n\r\n"
        ).encode()
        complete = 0
        for _ in range(DISCONNECTS):
            with socket.create_connection((parts.hostname, parts.port)) as sock:
                sent = min(len(head + body), rng.randrange(len(head) - 100, len(head) + 60))
                sock.sendall((head + body)[:sent])
                complete += sent == len(head + body)
        assert 0 < complete < DISCONNECTS, "some requests must be complete, and some not"
        # Control: that a client will leave without its answer does not undo what it has asked for.
        with socket.create_connection((parts.hostname, parts.port)) as sock:
            sock.sendall(head + body)
            wait_until(lambda: title(client, task["id"]) == "disconnected", "the effect of a PUT")
        wait_until(lambda: server.num_fds() <= before + POOL, "the end of their connections")
        assert client.delete(f"/api/tasks/{task['id']}").status_code == 204
    assert '"status":500' not in small_api.log.read_text()
    assert "traceback" not in small_api.log.read_text()
    figure(
        f"{DISCONNECTS} clients disconnected, {complete} of them after a complete request: no error"
    )
