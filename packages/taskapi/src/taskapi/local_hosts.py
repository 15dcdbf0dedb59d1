"""For development: requests are answered only if they name this machine as their host.

A page of another site can have the name of its own host resolved to 127.0.0.1. The browser then
lets it read the answers, because they come from its own origin.
"""

from __future__ import annotations

import re
import socket

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from . import problems
from .problems import Kind, Problem

WRONG_HOST = Kind(421, "wrong_host", "This server answers only for names of its own machine.")
_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
_PORT = re.compile(r":[0-9]*$")


class LocalHosts:
    """Answers 421 unless the header Host names this machine."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._names = _NAMES | {socket.gethostname().lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._is_local(scope):
            answer = problems.answer(Problem(WRONG_HOST), scope["taskapi.request_id"])
            await answer(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _is_local(self, scope: Scope) -> bool:
        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        return len(hosts) == 1 and _PORT.sub("", hosts[0]).lower() in self._names


def install(app: FastAPI) -> None:
    """Add it behind the middleware that gives the request its id and its line in the log."""
    app.user_middleware.append(Middleware(LocalHosts))
