"""A database far away: a proxy on loopback that holds back whatever goes through it, each way.

As a wire would: what was sent later does not wait for what was sent earlier.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from queue import SimpleQueue
from urllib.parse import urlsplit, urlunsplit


class Far:
    """Listens, and carries everything to `upstream` and back, so many seconds late."""

    def __init__(self, upstream: tuple[str, int], delay: float) -> None:
        self._upstream = upstream
        self._delay = delay
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        _in_background(self._accept)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._upstream)
                for sock in (client, server):
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._carry(client, server)
                self._carry(server, client)

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        under_way: SimpleQueue[tuple[float, bytes]] = SimpleQueue()

        def take() -> None:
            data = b"-"
            while data:
                try:
                    data = source.recv(65536)
                except OSError:
                    data = b""
                under_way.put((time.monotonic() + self._delay, data))

        def give() -> None:
            with closing(sink), suppress(OSError):
                while True:
                    due, data = under_way.get()
                    time.sleep(max(0.0, due - time.monotonic()))
                    if not data:
                        return
                    sink.sendall(data)

        _in_background(take)
        _in_background(give)


def _in_background(work: object) -> None:
    threading.Thread(target=work, daemon=True).start()  # type: ignore[arg-type]


@contextmanager
def far_away(url: str, delay: float) -> Iterator[str]:
    """The same database, by a URL that is far from it."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    with closing(Far((parts.hostname, parts.port), delay)) as proxy:
        login = parts.netloc.rpartition("@")[0]
        yield urlunsplit(parts._replace(netloc=f"{login}@127.0.0.1:{proxy.port}"))
