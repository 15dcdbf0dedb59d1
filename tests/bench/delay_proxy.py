"""A proxy on loopback that delays all bytes in both directions, as a database far away would.

Each piece is delayed by itself, as on a wire: a later one does not wait for an earlier one.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from queue import SimpleQueue
from urllib.parse import urlsplit, urlunsplit


class DelayProxy:
    """Listens, and forwards all bytes to `upstream` and back, `delay` seconds later."""

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
                self._forward(client, server)
                self._forward(server, client)

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        delayed: SimpleQueue[tuple[float, bytes]] = SimpleQueue()

        def receive() -> None:
            data = b"-"
            while data:
                try:
                    data = source.recv(65536)
                except OSError:
                    data = b""
                delayed.put((time.monotonic() + self._delay, data))

        def send() -> None:
            with closing(sink), suppress(OSError):
                while True:
                    due, data = delayed.get()
                    time.sleep(max(0.0, due - time.monotonic()))
                    if not data:
                        return
                    sink.sendall(data)

        _in_background(receive)
        _in_background(send)


def _in_background(work: object) -> None:
    threading.Thread(target=work, daemon=True).start()  # type: ignore[arg-type]


@contextmanager
def delayed_url(url: str, delay: float) -> Iterator[str]:
    """Yield a URL of the same database through the proxy."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    with closing(DelayProxy((parts.hostname, parts.port), delay)) as proxy:
        login = parts.netloc.rpartition("@")[0]
        yield urlunsplit(parts._replace(netloc=f"{login}@127.0.0.1:{proxy.port}"))
