"""A proxy in front of PostgreSQL that can send messages of its own, and hold answers back."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

from support.counting_proxy import CountingProxy, through

_READY_FOR_QUERY = b"Z\0\0\0\5I"


def message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


def report(kind: bytes, severity: str, sqlstate: str, text: str) -> bytes:
    """A notice (`N`) or an error (`E`)."""
    fields = (("S", severity), ("V", severity), ("C", sqlstate), ("M", text))
    return message(kind, b"".join(f"{name}{value}\0".encode() for name, value in fields) + b"\0")


NOTICE = report(b"N", "NOTICE", "00000", "nothing of importance")
SETTING = message(b"S", b"application_name\0another\0")
ERROR = report(b"E", "ERROR", "XX000", "something is wrong")
FATAL = report(b"E", "FATAL", "57P01", "terminating connection due to administrator command")


class InjectingProxy(CountingProxy):
    """Passes everything on, unless it is told to hold back what the server answers."""

    def __init__(self, upstream: tuple[str, int]) -> None:
        self.clients: list[socket.socket] = []
        self._held: dict[socket.socket, bytes] = {}
        self._holding = False
        self._lock = threading.Lock()
        super().__init__(upstream)

    def inject(self, *messages: bytes) -> None:
        """Send this to every client; the connections stay open."""
        for client in list(self.clients):
            with suppress(OSError):
                client.sendall(b"".join(messages))

    def hold(self) -> None:
        """Keep all answers, until `release`."""
        self._holding = True

    @property
    def holds_an_answer(self) -> bool:
        return any(data.endswith(_READY_FOR_QUERY) for data in self._held.values())

    def release(self, *, but: int | None = 0) -> None:
        """Deliver what was kept, except for its last bytes (None: all), and keep nothing new."""
        with self._lock:
            self._holding = False
            for client, data in self._held.items():
                end = 0 if but is None else len(data) - but
                with suppress(OSError):
                    client.sendall(data[:end])
                self._held[client] = data[end:]

    def _down(self, server: socket.socket, client: socket.socket) -> None:
        self.clients.append(client)
        try:
            while data := server.recv(65536):
                with self._lock:
                    if self._holding:
                        self._held[client] = self._held.get(client, b"") + data
                        continue
                client.sendall(data)
        finally:
            self.clients.remove(client)


@contextmanager
def injecting(url: str) -> Iterator[tuple[InjectingProxy, str]]:
    """The proxy in front of the server of a URL, and the URL through it."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    proxy = InjectingProxy((parts.hostname, parts.port))
    try:
        yield proxy, through(proxy, url)
    finally:
        proxy.close()
