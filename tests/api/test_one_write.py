"""Head and body of an answer are one write, and the bytes are those that uvicorn sends."""

from __future__ import annotations

import asyncio

import pytest
import uvicorn
from starlette.types import Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from taskapi.connections import Connections
from taskapi.http_protocol import HttpProtocol

LENGTH = (b"content-length", b"5")
TYPE = (b"content-type", b"text/plain")
GET = b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n"


def start(status: int, *headers: tuple[bytes, bytes]) -> Message:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def body(content: bytes = b"", *, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": content, "more_body": more}


class Form:
    """Requests, what the application answers to each, and the writes that this takes."""

    def __init__(
        self, requests: bytes, *messages: Message, writes: int | None, fails: bool = False
    ) -> None:
        self.requests = requests
        self.messages = messages
        self.writes = writes
        self.fails = fails


PLAIN = (start(200, TYPE, LENGTH), body(b"hello"))
FORMS = {
    "plain": Form(GET, *PLAIN, writes=1),
    "an error": Form(GET, start(404, TYPE, LENGTH), body(b"hello"), writes=1),
    "head": Form(GET.replace(b"GET", b"HEAD"), *PLAIN, writes=1),
    "head without a body": Form(
        GET.replace(b"GET", b"HEAD"), start(200, TYPE, LENGTH), body(), writes=1
    ),
    "head without a length": Form(
        GET.replace(b"GET", b"HEAD"), start(200, TYPE), body(), writes=None
    ),
    "204": Form(GET, start(204), body(), writes=1),
    "304": Form(GET, start(304, (b"etag", b'"x"')), body(), writes=1),
    "no body message": Form(GET, start(204), {"type": "http.response.body"}, writes=1),
    "no headers": Form(
        GET, {"type": "http.response.start", "status": 204}, body(), writes=1
    ),
    "without a length": Form(GET, start(200, TYPE), body(b"hello"), writes=None),
    "in parts": Form(
        GET, start(200, TYPE, LENGTH), body(b"he", more=True), body(b"llo"), writes=None
    ),
    "in chunks": Form(
        GET, start(200, TYPE), body(b"he", more=True), body(b"llo"), body(), writes=None
    ),
    "the application's chunks": Form(
        GET, start(200, (b"transfer-encoding", b"chunked")), body(b"hello"), writes=None
    ),
    "the client closes": Form(
        GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), *PLAIN, writes=1
    ),
    "the application closes": Form(
        GET, start(200, LENGTH, (b"connection", b"close")), body(b"hello"), writes=1
    ),
    "http 1.0": Form(b"GET / HTTP/1.0\r\n\r\n", *PLAIN, writes=1),
    "pipelined": Form(GET * 3, *PLAIN, writes=3),
    "a body that is not read": Form(
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc" + GET, *PLAIN, writes=2
    ),
    "100-continue": Form(
        b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n",
        {"type": "read"},
        *PLAIN,
        writes=2,
    ),
    "100-continue that is not asked for": Form(
        b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n",
        *PLAIN,
        writes=1,
    ),
    "a failure after the head": Form(
        GET, start(200, TYPE, LENGTH), writes=None, fails=True
    ),
    "a failure in the body": Form(
        GET, start(200, TYPE, LENGTH), body(b"he", more=True), writes=None, fails=True
    ),
    "a body that is too long": Form(
        GET, start(200, TYPE, LENGTH), body(b"hello, you"), writes=None, fails=True
    ),
    "a body that is too short": Form(
        GET, start(200, TYPE, LENGTH), body(b"he"), writes=None, fails=True
    ),
}  # fmt: skip


class Writes(asyncio.Transport):
    """A connection that keeps what is written, each write by itself."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self.writes: list[bytes] = []
        self.closed = asyncio.Event()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self.closed.is_set() and data:
            self.writes.append(bytes(data))

    def is_closing(self) -> bool:
        return self.closed.is_set()

    def close(self) -> None:
        self.closed.set()

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


async def exchange(kind: type[HttpToolsProtocol], form: Form) -> Writes:
    """Let a connection of this class answer the requests of a form."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in form.messages:
            if message["type"] == "read":
                reading = asyncio.create_task(asyncio.wait_for(receive(), 5))
                await asyncio.sleep(0)
                protocol.data_received(b"abc")
                await reading
            else:
                await send(dict(message))
        if form.fails:
            raise RuntimeError("the application fails")

    config = uvicorn.Config(app, http=kind, lifespan="off", log_level="critical", access_log=False)
    config.load()
    state = Connections(100) if kind is HttpProtocol else ServerState()
    state.default_headers = [(b"server", b"test")]
    protocol = kind(config, state, {})
    transport = Writes()
    protocol.connection_made(transport)
    protocol.data_received(form.requests)
    while state.tasks:
        await asyncio.wait(set(state.tasks))
        await asyncio.sleep(0)
    protocol.connection_lost(None)
    return transport


def comparable(transport: Writes) -> list[tuple[list[bytes], bytes]]:
    """The answers: their lines in alphabetical order, and their bodies."""
    parts = b"".join(transport.writes).split(b"\r\n\r\n")
    return [(sorted(part.split(b"\r\n")), b"") for part in parts]


@pytest.mark.parametrize("name", FORMS)
async def test_each_form_of_an_answer_is_what_uvicorn_sends_in_fewer_writes(name: str) -> None:
    form = FORMS[name]
    ours, theirs = [await exchange(kind, form) for kind in (HttpProtocol, HttpToolsProtocol)]
    if not form.fails:
        assert comparable(ours) == comparable(theirs)
        assert ours.writes
    else:
        # uvicorn answers a failure before the body with its 500, where no head has been sent.
        assert b"".join(ours.writes).startswith(b"HTTP/1.1 200 OK\r\n")
        assert ours.closed.is_set()
    assert ours.closed.is_set() is theirs.closed.is_set()
    if form.writes is not None:
        assert len(ours.writes) == form.writes
        # The control: it took more.
        empty = all(not message.get("body") for message in form.messages)
        if not empty and not form.requests.startswith(b"HEAD"):
            assert len(theirs.writes) > form.writes


async def test_a_header_with_a_line_break_is_refused() -> None:
    for value in (b"a\r\nset-cookie: x", b"a\nb", b"a\rb"):
        form = Form(GET, start(200, LENGTH, (b"x", value)), body(b"hello"), writes=1)
        transport = await exchange(HttpProtocol, form)
        assert b"".join(transport.writes).startswith(b"HTTP/1.1 500 ")
        assert b"hello" not in b"".join(transport.writes)
    form = Form(GET, start(200, LENGTH, (b"x", b"a")), body(b"hello"), writes=1)
    assert b"x: a\r\n" in (await exchange(HttpProtocol, form)).writes[0]


async def test_an_answer_to_a_client_that_has_gone_is_dropped() -> None:
    sent: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(200, LENGTH))
        protocol.connection_lost(None)
        await send(body(b"hello"))
        sent.append("both")

    config = uvicorn.Config(app, http=HttpProtocol, lifespan="off", access_log=False)
    config.load()
    state = Connections(100)
    protocol = HttpProtocol(config, state, {})
    transport = Writes()
    protocol.connection_made(transport)
    protocol.data_received(GET)
    await asyncio.wait(set(state.tasks))
    assert (transport.writes, sent) == ([], ["both"])
