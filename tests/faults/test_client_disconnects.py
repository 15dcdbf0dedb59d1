"""Clients that hang up in mid-request cost the server nothing: no slot, no error, no descriptor."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import psutil
import psycopg
import pytest

from support.api_server import Api, Serve, token
from support.figures import FULL, Figure
from support.http_contract import create
from support.polling import wait_until

HANGUPS = 2_000 if FULL else 200
POOL = 2


@pytest.fixture
def small_api(serve: Serve) -> Iterator[Api]:
    with serve(TASKAPI_POOL_SIZE=str(POOL)) as api:
        yield api


def test_clients_that_hang_up_leave_nothing_behind(
    small_api: Api, alice: str, admin: psycopg.Connection, figure: Figure
) -> None:
    chance = random.Random(0)
    parts = urlsplit(small_api.base)
    server = psutil.Process(small_api.process.pid)
    with small_api.client(alice) as client:
        task = create(client)
        before = server.num_fds()
        body = b'{"title": "hung up"}'
        head = (
            f"PUT /api/tasks/{task['id']} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
            f"Content-Type: application/json\r\nAuthorization: Bearer {token(alice)}\r\n\r\n"
        ).encode()
        whole = 0
        for _ in range(HANGUPS):
            with socket.create_connection((parts.hostname, parts.port)) as sock:
                sent = min(len(head + body), chance.randrange(len(head) - 100, len(head) + 60))
                sock.sendall((head + body)[:sent])
                whole += sent == len(head + body)
        assert 0 < whole < HANGUPS, "in the middle, and after the end"
        wait_until(lambda: server.num_fds() <= before + POOL, "the end of their connections")
        assert client.get(f"/api/tasks/{task['id']}").json()["title"] == "hung up"
        assert client.delete(f"/api/tasks/{task['id']}").status_code == 204
    assert '"status":500' not in small_api.log.read_text()
    assert "traceback" not in small_api.log.read_text()
    figure(f"{HANGUPS} clients hung up, {whole} of them after a whole request: nothing left behind")
