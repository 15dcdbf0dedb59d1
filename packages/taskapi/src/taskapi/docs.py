"""/docs without the internet: its script and style come from an installed package."""

from __future__ import annotations

from pathlib import Path

import fastapi_offline
from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles

_ASSETS = "/docs/assets"
# The browser blocks every request of the page to another origin.
_POLICY = (
    "default-src 'self'; img-src 'self' data:; "
    "script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'"
)


def install(app: FastAPI) -> None:
    files = StaticFiles(directory=Path(fastapi_offline.__file__).parent / "static")

    async def asset(request: Request) -> Response:
        return await files.get_response(request.path_params["name"], request.scope)

    # Routes and not a mount: a mount matches every method, so Allow would be wrong in a 405.
    for path, endpoint in (("/docs", _page), (f"{_ASSETS}/{{name}}", asset)):
        app.add_api_route(
            path, endpoint, methods=["GET", "HEAD"], include_in_schema=False, response_model=None
        )


async def _page(request: Request) -> HTMLResponse:
    root = request.scope.get("root_path", "")
    page = get_swagger_ui_html(
        openapi_url=f"{root}{request.app.openapi_url}",
        title=request.app.title,
        swagger_js_url=f"{root}{_ASSETS}/swagger-ui-bundle.js",
        swagger_css_url=f"{root}{_ASSETS}/swagger-ui.css",
        swagger_favicon_url=f"{root}{_ASSETS}/favicon.png",
    )
    page.headers["Content-Security-Policy"] = _POLICY
    return page
