"""uvicorn's HTTP/1.1 connection, with limits on what a client may send before it is known.

It answers what is no request: 431 for a header section without end, 408 for a client that is late,
400 for malformed HTTP. uvicorn's own class has no such limits, takes trailer fields for headers,
and answers in plain text. Each part names the promise that it is for.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast
from urllib.parse import unquote

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from . import problems
from .connections import LONGEST_TICK, Connections
from .http_response import ResponseCycle
from .logs import REFUSED_WITH, log_refusal
from .problems import HEADERS_TOO_LARGE, MALFORMED_REQUEST, REQUEST_TIMEOUT, Kind, Problem
from .request_id import REQUEST_ID, new_request_id
from .telemetry.counters import count_problem

# Data is parsed in parts of this size, because only after a part it is known how much of it was
# body: so a pipelined request may have this much more than the limit.
_PART = 4096
# The least that frames a chunk of a body: one digit and two line breaks.
_CHUNK_FRAME = 5
# Time is counted in ticks. The first of a wait began before it, so the longest is not counted.
_BEGUN = -LONGEST_TICK


class HttpProtocol(HttpToolsProtocol):
    """A client's connection."""

    # Promise: a header section ends with 431 when it is over 64 KiB, or over 100 fields. Everything
    # that is no body counts: request line, line breaks before it, chunk extensions and trailers.
    SECTION_BYTES = 64 * 1024
    FIELDS = 100
    # Promise: a client that is late gets 408. The first header section of a connection is due after
    # this time, that of a later request so long after its first byte (until then the limit for
    # idle connections applies).
    HEADER_SECONDS = 10.0
    BODY_SECONDS = 20.0
    BODY_BYTES_PER_SECOND = 16 * 1024
    # After a refusal the client may still be sending. Data is read and discarded for this long,
    # because a connection that is closed on unread data is reset, and the answer lost with it.
    LINGER_SECONDS = 2.0

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.all = cast(Connections, server_state)
        self.headers = []
        # Of the request that is being read: bytes that are no body, bytes of the body, and fields
        # of its header section, once that is complete.
        self._section = self._body = self._fields = 0
        self._in_body = self._is_upgrade = False
        # The scope of the last request that was read to its end. Another one is being read when
        # `scope` is not this one; a new connection counts as one whose first request has begun.
        self._read: object = self
        self._waited = _BEGUN
        self._refusal: Kind | None = None
        self._answered = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.all.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.all.remove(self)

    def close(self) -> None:
        self.transport.close()

    def shutdown(self) -> None:
        if self._answered:
            self.transport.close()
        else:
            super().shutdown()

    # Promise: a header section without end ends with 431.

    def data_received(self, data: bytes) -> None:
        if self._refusal is not None:
            return
        if self.scope is self._read and not self._section:
            self._waited = _BEGUN  # until now it was idle after a request
        if len(data) <= _PART and self._section + len(data) <= self.SECTION_BYTES:
            self._parse(data)
        else:
            self._parse_in_parts(memoryview(data))
        # Promise: over the limit of connections, the longest silent one is closed; a request in
        # flight never.
        silent = self.all.silent
        if self in silent:
            if self.cycle is None or self.cycle.response_complete:
                silent.move_to_end(self)
            else:
                del silent[self]

    def _parse_in_parts(self, data: memoryview) -> None:
        while data and self._refusal is None and not self.transport.is_closing():
            size = _PART
            if not self._in_body:
                size = min(size, self.SECTION_BYTES - self._section)
                if size <= 0:
                    self._refuse(HEADERS_TOO_LARGE)
                    return
            self._parse(data[:size])
            data = data[size:]

    def _parse(self, data: bytes | memoryview) -> None:
        self._section += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._parse_without_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            # The parser wraps what a callback raises.
            refused = error.__context__
            self._refuse(refused.kind if isinstance(refused, Problem) else MALFORMED_REQUEST)
        else:
            if self._section > self.SECTION_BYTES or self._fields + len(self.headers) > self.FIELDS:
                self._refuse(HEADERS_TOO_LARGE)

    def on_headers_complete(self) -> None:
        fields = self.headers
        if len(fields) > self.FIELDS:
            raise Problem(HEADERS_TOO_LARGE)
        # Promise: malformed HTTP is 400.
        version = self.parser.get_http_version()
        hosts = [name for name, _ in fields].count(b"host")
        if (hosts != 1 or version != "1.1") and (hosts > 1 or version != "1.0"):
            raise Problem(MALFORMED_REQUEST)
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                raise Problem(MALFORMED_REQUEST)
            self._is_upgrade = True
            return
        self._start_request(version)
        self._in_body = True
        self._waited = _BEGUN
        # Promise: trailer fields are never headers. The parser reports them as it does header
        # fields; they go into a list that nothing reads, and are counted there.
        self._fields = len(fields)
        self.headers = []

    def _start_request(self, version: str) -> None:
        """Start the application, as uvicorn does, with responses that are written at once."""
        scope = cast("dict[str, Any]", self.scope)
        scope["method"] = self.parser.get_method().decode("ascii")
        scope["http_version"] = version
        url = httptools.parse_url(self.url)
        path = url.path.decode("ascii")
        scope["path"] = self.root_path + (unquote(path) if "%" in path else path)
        scope["raw_path"] = self.root_path.encode("ascii") + url.path
        scope["query_string"] = url.query or b""
        before = self.cycle
        self.cycle = ResponseCycle(
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.all.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=version != "1.0" and self.parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        if before is None or before.response_complete:
            self._start_asgi_task(self.cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def on_body(self, body: bytes) -> None:
        self._section -= len(body)
        self._body += len(body)
        super().on_body(body)

    def on_chunk_header(self) -> None:
        self._section -= _CHUNK_FRAME

    def on_message_complete(self) -> None:
        if self._is_upgrade:
            return
        if self._fields + len(self.headers) > self.FIELDS:
            raise Problem(HEADERS_TOO_LARGE)
        HttpToolsProtocol.on_message_complete(self)
        self._section = self._body = self._fields = 0
        self._in_body = False
        self._read = self.scope
        self._waited = _BEGUN

    # Promise: an upgrade is ignored.

    def _parse_without_upgrade(self, rest: bytes | memoryview) -> None:
        """Parse a request again, without its Upgrade fields: the parser skips the body of one."""
        head = [self.parser.get_method(), b" ", self.url, b" HTTP/"]
        head.append(self.parser.get_http_version().encode())
        for name, value in self.headers:
            if name != b"upgrade":
                head += [b"\r\n", name, b": ", value]
        head.append(b"\r\n\r\n")
        self._is_upgrade = False
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        counted = b"".join(head)
        self._section -= len(rest) + len(counted)
        self._parse(counted)
        if self._refusal is None:
            self._parse(rest)

    # Promise: a client that is late gets 408.

    def tick(self, seconds: float) -> None:
        idle = False
        if self._answered:
            limit = self.LINGER_SECONDS
        elif self._refusal is not None or self.flow.read_paused:
            return
        elif self._in_body:
            limit = self.BODY_SECONDS + self._body / self.BODY_BYTES_PER_SECOND
        elif self._section or self.scope is not self._read:
            limit = self.HEADER_SECONDS
        elif self.cycle is None or self.cycle.response_complete:
            limit = self.timeout_keep_alive
            idle = True
        else:
            return
        self._waited += seconds
        if self._waited <= limit:
            return
        if idle or self._answered or self.transport.is_closing():
            self.transport.close()
        else:
            self._refuse(REQUEST_TIMEOUT)

    # Promise: the server's own 400, 408 and 431 are problem documents with a request id and a log
    # line, and come after the answers to the requests before.

    def _refuse(self, kind: Kind) -> None:
        self._refusal = kind
        refused = self.cycle if self._in_body else None
        if refused is None:
            if self.cycle is None or self.cycle.response_complete:
                self._answer()
        elif self.pipeline and self.pipeline[0][0] is refused:
            self.pipeline.popleft()
        elif refused.response_complete:
            self._linger()
        elif refused.response_started:
            refused.keep_alive = False
        else:
            scope = cast("dict[str, Any]", refused.scope)
            scope[REFUSED_WITH] = kind.status
            refused.disconnected = True
            refused.message_event.set()
            self._answer(scope.setdefault(REQUEST_ID, new_request_id()))

    def on_response_complete(self) -> None:
        # As uvicorn's own, but without a timer for each idle connection: `tick` closes those.
        self.all.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        if not self._in_body:
            self._waited = _BEGUN
        self.all.silent[self] = None
        if self._refusal is not None:
            self._answer()

    def _answer(self, request_id: str | None = None) -> None:
        """Answer with the refusal. Without a request id, the application knows of no request."""
        if self.transport.is_closing() or self._refusal is None:
            return
        if request_id is None:
            request_id = new_request_id()
            log_refusal(self._refusal.status, request_id)
        problem = Problem(self._refusal)
        count_problem(problem)
        response = problems.answer(problem, request_id)
        lines = [STATUS_LINE[response.status_code]]
        for name, value in [*self.all.default_headers, *response.raw_headers]:
            lines += [name, b": ", value, b"\r\n"]
        lines += [b"x-request-id: ", request_id.encode(), b"\r\nconnection: close\r\n\r\n"]
        self.transport.write(b"".join([*lines, response.body]))
        self._linger()

    def _linger(self) -> None:
        """Close, but read on until the client has done so too or the time for it is over."""
        self._answered = True
        self._waited = _BEGUN
        self.all.silent[self] = None
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()
