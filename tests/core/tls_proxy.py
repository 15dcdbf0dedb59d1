"""A proxy in front of PostgreSQL that speaks TLS, and divides each answer into parts as it is told.

The TLS of a pooler or of a hosted database has records of up to 16 KiB, which PostgreSQL's own
seldom has.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from support.tls import certified

_READY_FOR_QUERY = b"Z\0\0\0\5I"

RECORD = 16_384
"""The most bytes in one record of TLS."""

Divide = Callable[[int], list[int]]


def at_once(size: int) -> list[int]:
    return [size]


class TlsProxy:
    """Runs in a thread with an event loop of its own."""

    def __init__(self, upstream: tuple[str, int], context: ssl.SSLContext) -> None:
        self.divide: Divide = at_once
        self.delivered: list[int] = []
        self._upstream = upstream
        self._context = context
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._stop = asyncio.Event()
        self.port = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._started.wait(30)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._client, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        await self._stop.wait()
        server.close()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)  # SSLRequest
        writer.write(b"S")
        await writer.drain()
        await writer.start_tls(self._context)
        back, forth = await asyncio.open_connection(*self._upstream)
        up = asyncio.create_task(self._up(reader, forth))
        with suppress(OSError):
            await self._down(back, writer)
        up.cancel()
        for each in (writer, forth):
            each.close()

    async def _up(self, reader: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                sink.write(data)
                await sink.drain()
        sink.close()

    async def _down(self, source: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        started, answer = False, b""
        while data := await source.read(65_536):
            if not started:  # the start of a session is a dialogue
                client.write(data)
                started = data.endswith(_READY_FOR_QUERY)
                continue
            answer += data
            if answer.endswith(_READY_FOR_QUERY):
                await self._deliver(answer, client)
                answer = b""

    async def _deliver(self, answer: bytes, client: asyncio.StreamWriter) -> None:
        self.delivered.append(len(answer))
        for size in self.divide(len(answer)):
            part, answer = answer[:size], answer[size:]
            client.write(part)
            await client.drain()
            await asyncio.sleep(0.01)  # the client takes the first part meanwhile
        assert not answer


@contextmanager
def tls_proxy(url: str, directory: Path) -> Iterator[tuple[TlsProxy, str]]:
    """The proxy in front of the server of a URL, and the URL through it, with TLS."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    proxy = TlsProxy((parts.hostname, parts.port), certified(directory, "127.0.0.1").context)
    login = parts.netloc.rpartition("@")[0]
    netloc = f"{login}@127.0.0.1:{proxy.port}"
    try:
        yield proxy, parts._replace(netloc=netloc, query="sslmode=require").geturl()
    finally:
        proxy.close()
