"""A proxy in front of PostgreSQL that delays, cuts, resets and goes silent.

Data that was held back is delivered after `heal`, as TCP would deliver it.
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
    """Cuts one connection when it has carried so many more bytes one way."""

    def __init__(self, direction: Direction, after: int) -> None:
        self.direction = direction
        self.after = after
        self.done = threading.Event()


class Link:
    """One connection: the client's half and the server's."""

    def __init__(self, client: socket.socket) -> None:
        self.client = client
        self.server: socket.socket | None = None
        self.ready = False
        self.heard_at = time.monotonic()

    def cut(self, *, reset: bool = False) -> None:
        for sock in (self.client, self.server):
            if sock is None:
                continue
            with suppress(OSError):
                if reset and sock is self.client:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    # A reset is what a close does; the thread that reads is woken by a shutdown.
                    sock.shutdown(socket.SHUT_RD)
                    sock.close()
                else:
                    sock.shutdown(socket.SHUT_RDWR)


class FaultyProxy:
    """Listens on loopback, in front of `upstream`."""

    def __init__(self, upstream: tuple[str, int]) -> None:
        self.upstream = upstream
        self.connections = 0
        self._news = threading.Condition()
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

    # --- what a test does -------------------------------------------------------------------------

    def cut(self, *, reset: bool = False) -> None:
        """End every connection, politely or not."""
        for link in list(self._links):
            link.cut(reset=reset)

    def begin_resets(self) -> None:
        """Reset every connection, and each new one as soon as it is made."""
        self._resetting = True
        self.cut(reset=True)

    def begin_silence(self) -> None:
        """Carry nothing any more; connections stay."""
        self._silent = True

    def begin_delay(self, seconds: float) -> None:
        """Hold back everything for so long."""
        self._delay = seconds

    def drop_idle_after(self, seconds: float) -> None:
        """End connections on which nothing is said for so long."""
        self._idle_limit = seconds
        threading.Thread(target=self._drop_idle, daemon=True).start()

    def suspend(self, wake_up: float) -> None:
        """End every connection; the first new one wakes the server, which takes so long."""
        self._wake_up, self._awake_at = wake_up, None
        self.cut()

    def cut_after(self, direction: Direction, after: int) -> PlannedCut:
        """Cut the next connection that carries more than so many bytes of a conversation."""
        self._planned_cut = PlannedCut(direction, after)
        return self._planned_cut

    def heal(self) -> None:
        with self._news:
            self._silent = self._resetting = False
            self._delay = 0.0
            self._idle_limit = self._wake_up = self._planned_cut = None
            self._news.notify_all()

    @property
    def open_links(self) -> int:
        return len(self._links)

    def close(self) -> None:
        self.heal()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    # --- how it is done ---------------------------------------------------------------------------

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
            except OSError:
                return
            stack.callback(link.server.close)
            for sock in (link.client, link.server):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            back = threading.Thread(target=self._carry, args=(link, "down"), daemon=True)
            back.start()
            self._carry(link, "up")
            back.join()

    def _wait_until_awake(self) -> None:
        with self._news:
            if self._wake_up is not None and self._awake_at is None:
                self._awake_at = time.monotonic() + self._wake_up
            while self._wake_up is not None and self._awake_at is not None:
                left = self._awake_at - time.monotonic()
                if left <= 0:
                    return
                self._news.wait(left)

    def _drop_idle(self) -> None:
        with self._news:
            while self._idle_limit is not None:
                for link in list(self._links):
                    if time.monotonic() - link.heard_at > self._idle_limit:
                        link.cut()
                self._news.wait(self._idle_limit / 4)

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
                link.heard_at = time.monotonic()
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
        """What is still carried, and the cut if the connection ends with it."""
        ready = link.ready
        if direction == "down" and not ready and _READY_FOR_QUERY in data:
            link.ready = True
        with self._news:
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
        with self._news:
            while self._silent or self._delay > 0:
                left = None if self._silent else began + self._delay - time.monotonic()
                if left is not None and left <= 0:
                    return
                self._news.wait(left)


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
