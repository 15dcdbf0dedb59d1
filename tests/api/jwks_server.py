"""A JWKS endpoint on loopback, which a test can let fail in many ways."""

from __future__ import annotations

import gzip
import json
import socket
import ssl
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any, TypeAlias

Answer: TypeAlias = tuple[int, dict[str, str], bytes]


def _ok(body: bytes, **headers: str) -> Answer:
    return 200, {"Content-Type": "application/json", **headers}, body


def _twice(document: bytes) -> bytes:
    keys = json.loads(document)["keys"]
    return json.dumps({"keys": [*keys, {**keys[0], "alg": "none"}]}).encode()


# Each answer differs from a good one only by its fault, so most of them contain the keys.
FAULTS: dict[str, Callable[[bytes], Answer]] = {
    "500": lambda good: (500, {}, good),
    "404": lambda good: (404, {}, good),
    "201": lambda good: (201, {}, good),
    "redirect": lambda good: (302, {"Location": "/moved"}, good),
    "permanent redirect": lambda good: (308, {"Location": "/moved"}, good),
    "cut off": lambda good: _ok(good, **{"Content-Length": str(len(good) + 10)}),
    "the first half": lambda good: _ok(good[: len(good) // 2]),
    "10 MB": lambda good: _ok(good + b" " * 10_000_000),
    "a byte too large": lambda good: _ok(good.ljust(256 * 1024 + 1)),
    "HTML": lambda good: (200, {"Content-Type": "text/html"}, b"<!doctype html><p>Sign in"),
    "empty body": lambda good: _ok(b""),
    "no list": lambda good: _ok(b'{"keys":{}}'),
    "bare list": lambda good: _ok(json.dumps(json.loads(good)["keys"]).encode()),
    "gzip": lambda good: _ok(gzip.compress(good), **{"Content-Encoding": "gzip"}),
    "UTF-16": lambda good: _ok(good.decode().encode("utf-16")),
    "one id twice": lambda good: _ok(_twice(good)),
    "deep nesting": lambda good: _ok(b"[" * 200_000),
}
# Key sets that list no key which counts.
EMPTY_SETS: dict[str, Callable[[bytes], Answer]] = {
    "no keys": lambda _: _ok(b'{"keys":[]}'),
    "unusable keys": lambda _: _ok(b'{"keys":[{"kty":"oct","k":"AAAA","kid":"EdDSA-0"},7]}'),
}
_ANSWERS = {**FAULTS, **EMPTY_SETS}


class JwksServer:
    """Serves `keys`, records the requested paths, and fails as `behaves` says."""

    def __init__(
        self,
        keys: list[dict[str, Any]],
        bound: socket.socket | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.keys: list[Any] = keys
        self.behaves = "ok"
        self.requests: list[str] = []
        self.drops = 0
        self._goes_on = Event()
        self._goes_on.set()
        served = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                served._handle(self)

            def log_message(self, format: str, *args: Any) -> None:
                """Write nothing to standard error."""

        class Server(ThreadingHTTPServer):
            request_queue_size = 100

            def handle_error(self, request: Any, client_address: Any) -> None:
                """Print nothing: a client may have closed its connection."""

        self._server = Server(("127.0.0.1", 0), Handler, bind_and_activate=bound is None)
        if bound is not None:  # a port that the test has kept for this server
            self._server.socket.close()
            self._server.socket = bound
            self._server.server_address = bound.getsockname()
            self._server.server_activate()
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/api/auth/jwks"
        Thread(target=self._server.serve_forever, args=[0.01], daemon=True).start()

    @property
    def document(self) -> bytes:
        return json.dumps({"keys": self.keys}).encode()

    def hang(self) -> None:
        """Hold all answers back until `go_on`; their content is chosen when the request comes."""
        self._goes_on.clear()

    def go_on(self) -> None:
        self._goes_on.set()

    def close(self) -> None:
        self.go_on()
        self._server.shutdown()
        self._server.server_close()

    def _handle(self, request: BaseHTTPRequestHandler) -> None:
        self.requests.append(request.path)
        faulty = request.path != "/moved" and self.behaves in _ANSWERS
        status, headers, body = (_ANSWERS[self.behaves] if faulty else _ok)(self.document)
        if self.behaves == "hangs in the middle":
            self._send(request, status, {"Content-Length": str(len(body))}, body[:20])
        if self.behaves == "drips":
            self._send(request, status, {"Content-Length": "100000"}, body)
            while not self._goes_on.wait(0.005):
                request.wfile.write(b" ")
                self.drops += 1
            return
        self._goes_on.wait(60)
        if self.behaves != "hangs in the middle":
            self._send(request, status, headers, body)

    def _send(
        self, request: BaseHTTPRequestHandler, status: int, headers: dict[str, str], body: bytes
    ) -> None:
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body)
        request.wfile.flush()
