"""Takes paths and query strings that may name a task out of FastAPI's span of a request.

The route stays in the span's name and in `http.route`. Only paths that name a fixed route are kept:
any other one is the client's own text.
"""

from __future__ import annotations

from collections.abc import Iterable

from opentelemetry import trace
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

REDACTED = "REDACTED"


class PathRedaction:
    """The application that FastAPI traces; the span is put right before a request is answered."""

    def __init__(self, app: ASGIApp, routes: Iterable[BaseRoute]) -> None:
        self.app = app
        self._fixed = {
            route.path for route in routes if isinstance(route, Route) and "{" not in route.path
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and "fastapi.telemetry" in scope:
            span = trace.get_current_span()
            if scope["path"] not in self._fixed:
                span.set_attribute("url.path", REDACTED)
            if scope.get("query_string"):
                span.set_attribute("url.query", REDACTED)
        await self.app(scope, receive, send)
