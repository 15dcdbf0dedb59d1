"""/docs without the internet: its script and style come from an installed package."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

import fastapi_offline
from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Message, Receive, Scope, Send

from .problems import MALFORMED_REQUEST, Problem

_ASSETS = "/docs/assets"
_HEADERS = {"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY"}
# The browser blocks every request of the page to another origin, and every script but two: the
# asset, and the one in the page, which is named by its hash. Swagger UI sets styles by itself.
_POLICY = (
    "default-src 'self'; img-src 'self' data:; script-src 'self' '{script}'; "
    "style-src 'self' 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"
)
_INLINE_SCRIPT = re.compile(rb"<script>(.*?)</script>", re.DOTALL)


def install(app: FastAPI) -> None:
    files = StaticFiles(directory=Path(fastapi_offline.__file__).parent / "static")

    async def asset(request: Request) -> Response:
        file = await files.get_response(request.path_params["name"], request.scope)
        file.headers.update(_HEADERS)
        return _Asset(file)

    # Routes and not a mount: a mount matches every method, so Allow would be wrong in a 405.
    for path, endpoint in (("/docs", _page), (f"{_ASSETS}/{{name}}", asset)):
        app.add_api_route(
            path, endpoint, methods=["GET", "HEAD"], include_in_schema=False, response_model=None
        )


class _Asset(Response):
    """A file, of which a client may want a range. A malformed range is a problem.

    Starlette answers one in plain text, with 400; and with 416 one that lies behind the file's end,
    for which the whole file is sent instead, as for a server that knows no ranges.
    """

    def __init__(self, file: Response) -> None:
        super().__init__()
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_file(message: Message) -> None:
            if message["type"] == "http.response.start":
                if message["status"] == 400:
                    raise Problem(MALFORMED_REQUEST)
                if message["status"] == 416:
                    raise _Unsatisfiable
            await send(message)

        try:
            await self._file(scope, receive, send_file)
        except _Unsatisfiable:
            kept = [field for field in scope["headers"] if field[0] != b"range"]
            await self._file({**scope, "headers": kept}, receive, send)


class _Unsatisfiable(Exception):
    """The range that a client wants is not in the file."""


async def _page(request: Request) -> HTMLResponse:
    root = request.scope.get("root_path", "")
    page = get_swagger_ui_html(
        openapi_url=f"{root}{request.app.openapi_url}",
        title=request.app.title,
        swagger_js_url=f"{root}{_ASSETS}/swagger-ui-bundle.js",
        swagger_css_url=f"{root}{_ASSETS}/swagger-ui.css",
        swagger_favicon_url=f"{root}{_ASSETS}/favicon.png",
    )
    [script] = _INLINE_SCRIPT.findall(bytes(page.body))
    hashed = base64.b64encode(hashlib.sha256(script).digest()).decode()
    page.headers.update(_HEADERS)
    page.headers["Content-Security-Policy"] = _POLICY.format(script=f"sha256-{hashed}")
    return page
