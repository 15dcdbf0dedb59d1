"""A proxy in front of PostgreSQL that counts what goes over the wire, and can cut it.

It reads the frontend's messages as the protocol frames them. A Sync (or a simple Query) is where
the client starts to wait for the server: their number is the number of round trips. A request that
is a transaction block has two, and does not wait for the answer to the first.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TypeVar
from urllib.parse import urlsplit, urlunsplit

import pytest

from support.postgres import SHAPE

Proxy = TypeVar("Proxy", bound="CountingProxy")


class CountingProxy:
    """Listens on loopback and passes everything on to `upstream`."""

    def __init__(self, upstream: tuple[str, int]) -> None:
        self.upstream = upstream
        self.messages: Counter[str] = Counter()
        self.connections = 0
        # The number of the Sync with which a connection ends, as `messages` counts them; 0: none.
        self.cut_at_sync = 0
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def round_trips(self) -> int:
        return self.messages["S"] // (2 if SHAPE == "block" else 1) + self.messages["Q"]

    def forget(self) -> None:
        self.messages.clear()

    def cut(self) -> None:
        """End every connection, as a server that goes away does."""
        for sock in list(self._sockets):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self.upstream)
                for sock in (client, server):
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._sockets |= {client, server}
                self.connections += 1
                self._start(self._up, client, server)
                self._start(self._down, server, client)

    def _start(
        self,
        pump: Callable[[socket.socket, socket.socket], None],
        source: socket.socket,
        sink: socket.socket,
    ) -> None:
        thread = threading.Thread(target=self._until_end, args=(pump, source, sink), daemon=True)
        thread.start()
        self._threads.append(thread)  # only now: `close` waits for those that have started

    def _until_end(
        self,
        pump: Callable[[socket.socket, socket.socket], None],
        source: socket.socket,
        sink: socket.socket,
    ) -> None:
        with suppress(OSError):
            pump(source, sink)
        for sock in (source, sink):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        # The other direction's thread closes the other socket.
        self._sockets.discard(source)
        source.close()

    def _up(self, client: socket.socket, server: socket.socket) -> None:
        pending = b""
        started = False
        while data := client.recv(65536):
            pending += data
            if not started and len(pending) >= 4:  # the start-up message has no type
                (length,) = struct.unpack("!I", pending[:4])
                if len(pending) >= length:
                    code = struct.unpack("!I", pending[4:8])[0] if length == 8 else 0
                    started = code not in (80877103, 80877104)  # SSL or GSS asked for first
                    pending = pending[length:]
            while started and len(pending) >= 5:
                (length,) = struct.unpack("!I", pending[1:5])
                if len(pending) < length + 1:
                    break
                self.messages[chr(pending[0])] += 1
                pending = pending[length + 1 :]
                if self.cut_at_sync and self.messages["S"] == self.cut_at_sync:
                    self.cut_at_sync = 0
                    client.shutdown(socket.SHUT_RDWR)  # first, so that no answer gets through
                    server.sendall(data[: len(data) - len(pending)])
                    return
            server.sendall(data)

    def _down(self, server: socket.socket, client: socket.socket) -> None:
        while data := server.recv(65536):
            client.sendall(data)


def proxy_for(url: str, kind: type[Proxy]) -> Proxy:
    """A proxy of this kind in front of the server of a URL."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    return kind((parts.hostname, parts.port))


def through(proxy: CountingProxy, url: str) -> str:
    """The same database, reached through the proxy."""
    parts = urlsplit(url)
    login = parts.netloc.rpartition("@")[0]
    return urlunsplit(parts._replace(netloc=f"{login}@127.0.0.1:{proxy.port}"))


@pytest.fixture
def counting_proxy(served_url: str) -> Iterator[CountingProxy]:
    proxy = proxy_for(served_url, CountingProxy)
    yield proxy
    proxy.close()


@pytest.fixture
def counted_url(counting_proxy: CountingProxy, served_url: str) -> str:
    return through(counting_proxy, served_url)
