"""A proxy in front of PostgreSQL that can give two connections each the other's answer.

It is what a pooler or a driver with a fault does. Neither lock sees it: both statements were right.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from support.counting_proxy import CountingProxy, through

_READY_FOR_QUERY = b"Z\0\0\0\5I"


class CrossingProxy(CountingProxy):
    """Passes everything on, until it is told to cross the next two answers."""

    def __init__(self, upstream: tuple[str, int]) -> None:
        self._lock = threading.Lock()
        self._crossing = False
        self._held: tuple[socket.socket, bytes] | None = None
        self.crossed = 0
        super().__init__(upstream)

    def cross(self) -> None:
        """Hold back the next answer, until it can be exchanged for another connection's."""
        with self._lock:
            self._crossing = True

    def _down(self, server: socket.socket, client: socket.socket) -> None:
        # The start of a session and the driver's question about the server are never held back.
        ready, answer = 0, b""
        while data := server.recv(65536):
            if ready < 2:
                client.sendall(data)
                ready += data.endswith(_READY_FOR_QUERY)
                continue
            answer += data
            if answer.endswith(_READY_FOR_QUERY):
                self._deliver(client, answer)
                answer = b""

    def _deliver(self, client: socket.socket, answer: bytes) -> None:
        with self._lock:
            if not self._crossing:
                client.sendall(answer)
            elif self._held is None:
                self._held = (client, answer)
            else:
                (other, others_answer), self._held = self._held, None
                self._crossing = False
                self.crossed += 1
                client.sendall(others_answer)
                other.sendall(answer)


@pytest.fixture
def crossing_proxy(url: str) -> Iterator[CrossingProxy]:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    proxy = CrossingProxy((parts.hostname, parts.port))
    yield proxy
    proxy.close()


@pytest.fixture
def crossed_url(crossing_proxy: CrossingProxy, url: str) -> str:
    """The shared database, reached through the proxy; never through PgBouncer."""
    return through(crossing_proxy, url)
