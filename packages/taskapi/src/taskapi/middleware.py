"""The middleware around every request: CORS, request id, log line, and a 500 for exceptions.

It also removes a trailing slash of the path. A redirect would lose the body or the token in some
clients.
"""

from __future__ import annotations

import asyncio
import logging
import re
from time import perf_counter

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from . import problems
from .logs import log_request
from .request_id import REQUEST_ID, request_id_of
from .services import services_of
from .telemetry.counters import count_problem

_log = logging.getLogger(__name__)

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
REQUEST_HEADERS = (
    "Authorization",
    "Content-Type",
    "If-Match",
    "If-None-Match",
    "Idempotency-Key",
    "X-Request-ID",
)
EXPOSED_HEADERS = (
    "ETag",
    "Location",
    "Retry-After",
    "WWW-Authenticate",
    "X-Request-ID",
    "Idempotency-Replayed",
)
VARY_BY_ORIGIN = "taskapi.vary_by_origin"
"""The key in the scope of a request whose answer has to say that it depends on the Origin."""
_A_DAY = 24 * 60 * 60
_MAX_LOGGED_ORIGINS = 100
_ORIGIN = re.compile(r"https?://[A-Za-z0-9.:\[\]-]{1,200}")


class Cors(CORSMiddleware):
    """Starlette's CORS; every preflight is answered 204, and a refused one lacks the headers.

    Starlette answers a refused preflight with 400 in plain text, which is no problem document.
    A preflight never reaches the application, so its request id and log line are added here.
    """

    def __init__(self, app: ASGIApp, origins: tuple[str, ...]) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_credentials=True,
            allow_methods=METHODS,
            allow_headers=REQUEST_HEADERS,
            expose_headers=EXPOSED_HEADERS,
            max_age=_A_DAY,
        )
        self._logged: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or b"origin" in dict(scope["headers"]):
            await super().__call__(scope, receive, send)
        else:
            # Without an Origin, all that Starlette's CORS does is to name it in Vary.
            scope[VARY_BY_ORIGIN] = True
            await self.app(scope, receive, send)

    def preflight_response(self, request_headers: Headers) -> Response:
        # The header Authorization makes browsers ask before every cross-origin request.
        if not self.is_allowed_origin(request_headers["origin"]):
            self._log_refused(request_headers["origin"])
        headers = super().preflight_response(request_headers).headers
        kept = {name: value for name, value in headers.items() if not name.startswith("content-")}
        return _Preflight(None, 204, kept)

    def _log_refused(self, origin: str) -> None:
        """Log each origin once, and not without end: a client can send any."""
        if origin in self._logged or len(self._logged) >= _MAX_LOGGED_ORIGINS:
            return
        self._logged.add(origin)
        if _ORIGIN.fullmatch(origin):
            _log.warning(
                "pages of %s may not call this API: CORS_ORIGINS=%s would allow them",
                origin,
                ",".join([*self.allow_origins, origin]),
            )


def _add_origin_to_vary(headers: list[tuple[bytes, bytes]]) -> None:
    for place, (name, value) in enumerate(headers):
        if name == b"vary":
            headers[place] = (name, value + b", Origin")
            return
    headers.append((b"vary", b"Origin"))


class _Preflight(Response):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await RequestMiddleware(super().__call__)(scope, receive, send)


class RequestMiddleware:
    """Gives each request an id and a log line, and answers exceptions with a problem document."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = perf_counter()
        request_id = scope.get(REQUEST_ID) or request_id_of(scope)
        scope[REQUEST_ID] = request_id
        path: str = scope["path"]
        if len(path) > 1 and path.endswith("/"):
            scope["path"] = path[:-1]
        elif path.endswith("\n"):
            # The `$` of a route's pattern also matches before one final newline: with a second
            # newline the path matches no route.
            scope["path"] = path + "\n"
        # Now: an application that is mounted in this one puts itself into the scope.
        services = services_of(scope["app"])
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                # Of its own: a mounted application may send the same list each time.
                headers = [*message.get("headers", ()), (b"x-request-id", request_id.encode())]
                if VARY_BY_ORIGIN in scope:
                    _add_origin_to_vary(headers)
                if services.draining:
                    headers.append((b"connection", b"close"))
                message["headers"] = headers
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        except asyncio.CancelledError:
            # The process stops before the request has ended; uvicorn would answer in plain text.
            if status:
                raise
            reads = scope["method"] in ("GET", "HEAD")
            kind = problems.DATABASE_UNAVAILABLE if reads else problems.OUTCOME_UNKNOWN
            problem = problems.Problem(kind)
            count_problem(problem)
            await problems.answer(problem, request_id)(scope, receive, send_with_id)
        except ClientDisconnect:
            status = status or 499
        except Exception as error:
            _log.error("unhandled %s", type(error).__name__, exc_info=error)
            if status:  # the answer has begun: only closing the connection can report the error
                raise
            problem = problems.Problem(problems.INTERNAL_ERROR)
            count_problem(problem)
            await problems.answer(problem, request_id)(scope, receive, send_with_id)
        finally:
            log_request(scope, status, perf_counter() - started)
