"""One client on one connection, with one request at a time: it measures times and makes no load."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from time import perf_counter
from typing import Any

from bench.database import token_of
from bench.servers import Running

_NEW = json.dumps({"title": "Buy oat milk after work", "description": "Ask for the receipt."})
_CHANGE = json.dumps({"title": "Pay the rent on Monday"})


class Client:
    """A client of a server, with the token of one user."""

    def __init__(self, server: Running, number: int) -> None:
        self._connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
        self._headers = {"Authorization": f"Bearer {token_of(number)}"}

    def request(self, method: str, path: str, body: str | None = None) -> bytes:
        headers = self._headers
        if body is not None:
            headers = {**headers, "Content-Type": "application/json"}
        self._connection.request(method, path, body, headers)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {content!r}")
        return content

    def times(self, number: int) -> dict[str, list[float]]:
        """Run every operation this many times; return the seconds of each run."""
        found: dict[str, list[float]] = {}

        def timed(name: str, request: Callable[[], bytes]) -> Any:
            began = perf_counter()
            content = request()
            found.setdefault(name, []).append(perf_counter() - began)
            return json.loads(content) if content else None

        for _ in range(number):
            made = timed("create", lambda: self.request("POST", "/api/tasks", _NEW))
            path = f"/api/tasks/{made['id']}"
            timed("get", lambda path=path: self.request("GET", path))  # type: ignore[misc]
            timed("list", lambda: self.request("GET", "/api/tasks"))
            timed("update", lambda path=path: self.request("PUT", path, _CHANGE))  # type: ignore[misc]
            toggle = f"{path}/complete"
            timed("toggle", lambda path=toggle: self.request("PATCH", path))  # type: ignore[misc]
            timed("delete", lambda path=path: self.request("DELETE", path))  # type: ignore[misc]
        return found


@contextmanager
def client(server: Running, number: int) -> Iterator[Client]:
    one = Client(server, number)
    try:
        yield one
    finally:
        one._connection.close()
