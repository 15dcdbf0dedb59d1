"""A network on a bad day: a proxy in front of PostgreSQL that delays, cuts, resets and goes silent.

What was held back is delivered when the network is well again, as TCP would.
"""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Literal, TypeAlias
from urllib.parse import urlsplit, urlunsplit

import pytest

# The long version of the tests on this machine's bad days; the default is a short one.
FULL = os.environ.get("TASKCORE_TEST_PROFILE") == "full"
# Seconds that an answer may come after the deadline, and the first success after the outage. The
# short version shares its machine with other tests.
GRACE = 1.0 if FULL else 3.0
FIRST_SUCCESS = 2.0 if FULL else 4.0

Way: TypeAlias = Literal["up", "down"]
Figure: TypeAlias = Callable[[str], None]

_READY_FOR_QUERY = b"Z\0\0\0\5"


class Trap:
    """Cuts one connection when it has carried so many more bytes one way."""

    def __init__(self, way: Way, after: int) -> None:
        self.way = way
        self.after = after
        self.sprung = threading.Event()


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


class Proxy:
    """Listens on loopback, in front of `upstream`."""

    def __init__(self, upstream: tuple[str, int]) -> None:
        self.upstream = upstream
        self.connections = 0
        self._news = threading.Condition()
        self._links: set[Link] = set()
        self._trap: Trap | None = None
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

    def trap(self, way: Way, after: int) -> Trap:
        """Cut the next connection that carries more than so many bytes of a conversation."""
        self._trap = Trap(way, after)
        return self._trap

    def heal(self) -> None:
        with self._news:
            self._silent = self._resetting = False
            self._delay = 0.0
            self._idle_limit = self._wake_up = self._trap = None
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

    def _carry(self, link: Link, way: Way) -> None:
        assert link.server is not None
        source, sink = link.client, link.server
        if way == "down":
            source, sink = sink, source
        with suppress(OSError):
            while True:
                data = source.recv(65536)
                if not data:
                    break
                link.heard_at = time.monotonic()
                self._hold_back()
                data, caught = self._caught(link, way, data)
                if data:
                    sink.sendall(data)
                if caught:
                    caught.sprung.set()
                    break
        link.cut()

    def _caught(self, link: Link, way: Way, data: bytes) -> tuple[bytes, Trap | None]:
        """What is still carried, and the trap if the connection ends with it."""
        ready = link.ready
        if way == "down" and not ready and _READY_FOR_QUERY in data:
            link.ready = True
        with self._news:
            trap = self._trap
            if trap is None or trap.way != way or not ready:
                return data, None
            if trap.after >= len(data):
                trap.after -= len(data)
                return data, None
            self._trap = None
            return data[: trap.after], trap

    def _hold_back(self) -> None:
        began = time.monotonic()
        with self._news:
            while self._silent or self._delay > 0:
                left = None if self._silent else began + self._delay - time.monotonic()
                if left is not None and left <= 0:
                    return
                self._news.wait(left)


def behind(proxy: Proxy, url: str) -> str:
    """The same database, reached through the proxy."""
    parts = urlsplit(url)
    login = parts.netloc.rpartition("@")[0]
    return urlunsplit(parts._replace(netloc=f"{login}@127.0.0.1:{proxy.port}"))


@contextmanager
def in_front_of(url: str) -> Iterator[Proxy]:
    """A proxy in front of the server of a URL."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    proxy = Proxy((parts.hostname, parts.port))
    try:
        yield proxy
    finally:
        proxy.close()


@pytest.fixture
def proxy(url: str) -> Iterator[Proxy]:
    """A proxy in front of the shared server."""
    with in_front_of(url) as proxy:
        yield proxy


@pytest.fixture
def proxy_url(proxy: Proxy, url: str) -> str:
    return behind(proxy, url)


_FIGURES = pytest.StashKey[list[str]]()


@pytest.fixture
def figure(pytestconfig: pytest.Config) -> Figure:
    """Notes what was measured, for the end of the run."""
    return pytestconfig.stash.setdefault(_FIGURES, []).append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in terminalreporter.config.stash.get(_FIGURES, []):
        terminalreporter.write_line(line)
