"""A proxy in front of PostgreSQL that can delay, cut, reset and silence its connections.

`heal` delivers the data that was held back, as TCP would.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Literal, TypeAlias
from urllib.parse import urlsplit, urlunsplit

Direction: TypeAlias = Literal["up", "down"]

_READY_FOR_QUERY = b"Z\0\0\0\5"


class PlannedCut:
    """Cuts one connection once it has carried `after` more bytes in one direction."""

    def __init__(self, direction: Direction, after: int) -> None:
        self.direction = direction
        self.after = after
        self.done = threading.Event()


class Link:
    """One connection: the client's socket and the server's."""

    def __init__(self, client: socket.socket) -> None:
        self.client = client
        self.server: socket.socket | None = None
        # The start of the session, and the driver's question about the server.
        self.answers_before_the_first_operation = 2
        self.last_data_at = time.monotonic()

    def cut(self, *, reset: bool = False) -> None:
        for sock in (self.client, self.server):
            if sock is None:
                continue
            with suppress(OSError):
                if reset and sock is self.client:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    # close() sends the reset; shutdown() wakes the thread that reads the socket.
                    sock.shutdown(socket.SHUT_RD)
                    sock.close()
                else:
                    sock.shutdown(socket.SHUT_RDWR)


class FaultyProxy:
    """Listens on loopback, in front of `upstream`."""

    def __init__(self, upstream: tuple[str, int]) -> None:
        self.upstream = upstream
        self.connections = 0
        self._changed = threading.Condition()
        self._links: set[Link] = set()
        self._planned_cut: PlannedCut | None = None
        self._delay = 0.0
        self._silent = self._resetting = False
        self._idle_limit: float | None = None
        self._wake_up: float | None = None
        self._awake_at: float | None = None
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    # --- the faults -------------------------------------------------------------------------------

    def cut(self, *, reset: bool = False) -> None:
        """Close every connection, or reset it."""
        for link in list(self._links):
            link.cut(reset=reset)

    def begin_resets(self) -> None:
        """Reset every connection, and each new one as soon as it is accepted."""
        self._resetting = True
        self.cut(reset=True)

    def begin_silence(self) -> None:
        """Carry no more data; the connections stay open."""
        self._silent = True

    def begin_delay(self, seconds: float) -> None:
        """Hold all data back for `seconds`."""
        self._delay = seconds

    def drop_idle_after(self, seconds: float) -> None:
        """Close every connection that has carried no data for `seconds`."""
        self._idle_limit = seconds
        threading.Thread(target=self._drop_idle, daemon=True).start()

    def suspend(self, wake_up: float) -> None:
        """Close every connection; the first new one wakes the server, which takes `wake_up` s."""
        self._wake_up, self._awake_at = wake_up, None
        self.cut()

    def cut_after(self, direction: Direction, after: int) -> PlannedCut:
        """Cut the next connection that carries more than `after` bytes after its login."""
        self._planned_cut = PlannedCut(direction, after)
        return self._planned_cut

    def heal(self) -> None:
        with self._changed:
            self._silent = self._resetting = False
            self._delay = 0.0
            self._idle_limit = self._wake_up = self._planned_cut = None
            self._changed.notify_all()

    @property
    def open_links(self) -> int:
        return len(self._links)

    def close(self) -> None:
        self.heal()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    # --- the implementation -----------------------------------------------------------------------

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                link = Link(client)
                self._links.add(link)
                self.connections += 1
                threading.Thread(target=self._serve, args=(link,), daemon=True).start()

    def _serve(self, link: Link) -> None:
        with ExitStack() as stack:
            stack.callback(self._links.discard, link)
            stack.callback(link.client.close)
            if self._resetting:
                link.cut(reset=True)
                return
            self._wait_until_awake()
            try:
                link.server = socket.create_connection(self.upstream)
                stack.callback(link.server.close)
                for sock in (link.client, link.server):
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError:  # nothing answers there, or the link was cut meanwhile
                return
            back = threading.Thread(target=self._carry, args=(link, "down"), daemon=True)
            back.start()
            self._carry(link, "up")
            back.join()

    def _wait_until_awake(self) -> None:
        with self._changed:
            if self._wake_up is not None and self._awake_at is None:
                self._awake_at = time.monotonic() + self._wake_up
            while self._wake_up is not None and self._awake_at is not None:
                left = self._awake_at - time.monotonic()
                if left <= 0:
                    return
                self._changed.wait(left)

    def _drop_idle(self) -> None:
        with self._changed:
            while self._idle_limit is not None:
                for link in list(self._links):
                    if time.monotonic() - link.last_data_at > self._idle_limit:
                        link.cut()
                self._changed.wait(self._idle_limit / 4)

    def _carry(self, link: Link, direction: Direction) -> None:
        assert link.server is not None
        source, sink = link.client, link.server
        if direction == "down":
            source, sink = sink, source
        with suppress(OSError):
            while True:
                data = source.recv(65536)
                if not data:
                    break
                link.last_data_at = time.monotonic()
                self._hold_back()
                data, cut = self._until_cut(link, direction, data)
                if data:
                    sink.sendall(data)
                if cut:
                    cut.done.set()
                    break
        link.cut()

    def _until_cut(
        self, link: Link, direction: Direction, data: bytes
    ) -> tuple[bytes, PlannedCut | None]:
        """Return the data that is still carried, and the cut if the connection ends with it."""
        ready = not link.answers_before_the_first_operation
        if direction == "down" and not ready and _READY_FOR_QUERY in data:
            link.answers_before_the_first_operation -= 1
        with self._changed:
            cut = self._planned_cut
            if cut is None or cut.direction != direction or not ready:
                return data, None
            if cut.after >= len(data):
                cut.after -= len(data)
                return data, None
            self._planned_cut = None
            return data[: cut.after], cut

    def _hold_back(self) -> None:
        began = time.monotonic()
        with self._changed:
            while self._silent or self._delay > 0:
                left = None if self._silent else began + self._delay - time.monotonic()
                if left is not None and left <= 0:
                    return
                self._changed.wait(left)


def behind(proxy: FaultyProxy, url: str) -> str:
    """The same database, reached through the proxy."""
    parts = urlsplit(url)
    login = parts.netloc.rpartition("@")[0]
    return urlunsplit(parts._replace(netloc=f"{login}@127.0.0.1:{proxy.port}"))


@contextmanager
def proxy_for(url: str) -> Iterator[FaultyProxy]:
    """A proxy in front of the server of a URL."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    proxy = FaultyProxy((parts.hostname, parts.port))
    try:
        yield proxy
    finally:
        proxy.close()
