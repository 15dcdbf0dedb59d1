"""The two health endpoints: whether the process is alive, and whether it can serve."""

from __future__ import annotations

import orjson
from fastapi import FastAPI, Request
from starlette.responses import Response

from .problems import NOT_READY, Problem
from .readiness import serves
from .services import services_of


async def live() -> Response:
    """The process answers."""
    return _ok({})


async def ready(request: Request) -> Response:
    """503 unless the database, its schema and the keys are there, and the process is to stay.

    Of a cluster, one node has to answer: the users whose tasks are on it can be served.
    """
    services = services_of(request.app)
    checks = await services.readiness.checks()
    jwks = services.authenticator.jwks
    if jwks is not None:
        checks["keys"] = "ok" if jwks.loaded else "unavailable"
    if services.draining:
        checks["process"] = "stopping"
    if not all(serves(check, result) for check, result in checks.items()):
        raise Problem(NOT_READY, checks=checks)
    return _ok({"checks": checks})


def _ok(more: dict[str, object]) -> Response:
    content = orjson.dumps({"status": "ok", **more})
    return Response(content, 200, {"Cache-Control": "no-store"}, "application/json")


def install(app: FastAPI) -> None:
    for path, endpoint in (("/health/live", live), ("/health/ready", ready)):
        app.add_api_route(
            path, endpoint, methods=["GET", "HEAD"], include_in_schema=False, response_model=None
        )
