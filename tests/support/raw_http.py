"""HTTP by hand: a client that sends what no library would, and reads what comes back."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.parser import BytesParser
from http.client import HTTPMessage
from typing import NamedTuple
from urllib.parse import urlsplit

import orjson

from support.api_server import Api, token
from support.http_contract import MEMBERS, STATUS, Json

GET = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"


class Answer(NamedTuple):
    """An answer as it came."""

    status: int
    headers: HTTPMessage
    body: bytes


class RawClient:
    """One connection to a server."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self._received = b""

    def send(self, *parts: bytes) -> None:
        """Send these parts, or what of them the server takes before it closes."""
        try:
            for part in parts:
                self.socket.sendall(part)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def trickle(self, data: bytes, *, seconds: float) -> None:
        """Send bytes one at a time, over so many seconds or until the server has answered."""
        end = time.monotonic() + seconds
        for number in range(len(data)):
            self.send(data[number : number + 1])
            self.socket.settimeout(max(0.001, (end - time.monotonic()) / (len(data) - number)))
            try:
                if self.socket.recv(1, socket.MSG_PEEK) is not None:
                    break
            except TimeoutError:
                continue
        self.socket.settimeout(30)

    def answer(self) -> Answer:
        """The next answer."""
        while b"\r\n\r\n" not in self._received:
            self._receive()
        head, self._received = self._received.split(b"\r\n\r\n", 1)
        status_line, fields = (head + b"\r\n\r\n").split(b"\r\n", 1)
        headers = BytesParser(HTTPMessage).parsebytes(fields, headersonly=True)
        length = int(headers.get("content-length", 0))
        while len(self._received) < length:
            self._receive()
        body, self._received = self._received[:length], self._received[length:]
        return Answer(int(status_line.split()[1]), headers, body)

    def is_closed(self) -> bool:
        """Whether the server has closed the connection, after all that was read; waits for it."""
        try:
            return self._received == b"" and self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def is_refused(self, code: str) -> Json:
        """Read a refusal of what is no request, which is the last answer; return its document."""
        answer = self.answer()
        document: Json = orjson.loads(answer.body)
        assert (answer.status, document["code"]) == (STATUS[code], code), document
        assert list(document) == MEMBERS
        assert answer.headers["content-type"] == "application/problem+json"
        assert document["request_id"] == answer.headers["x-request-id"]
        assert answer.headers["connection"] == "close"
        assert answer.headers["date"]
        assert not [name for name in answer.headers if name.startswith("access-control-")]
        assert self.is_closed()
        return document

    def _receive(self) -> None:
        data = self.socket.recv(65_536)
        assert data, f"the server has closed the connection, after {self._received!r}"
        self._received += data


@contextmanager
def connected(api: Api) -> Iterator[RawClient]:
    parts = urlsplit(api.base)
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as sock:
        yield RawClient(sock)


def head(method: str, path: str, user: str, *fields: str) -> bytes:
    """The header section of a request with a token of this user."""
    lines = [f"{method} {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {token(user)}"]
    return "".join(f"{line}\r\n" for line in [*lines, *fields, ""]).encode()
