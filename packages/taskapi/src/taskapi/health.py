"""The two health endpoints: whether the process is alive, and whether it can serve."""

from __future__ import annotations

import orjson
from fastapi import FastAPI, Request
from starlette.responses import Response

from taskcore import AsyncDatabase, DatabaseNotReady, PermissionMissing, TaskcoreError, migrations

from .problems import NOT_READY, Problem
from .services import services_of

_TIMEOUT = 2.0


async def live() -> Response:
    """The process answers."""
    return _ok({})


async def ready(request: Request) -> Response:
    """503 unless the database, its schema and the keys are there, and the process is to stay."""
    services = services_of(request.app)
    checks = await _database_checks(services.database)
    jwks = services.authenticator.jwks
    if jwks is not None:
        checks["keys"] = "ok" if jwks.loaded else "unavailable"
    if services.draining:
        checks["process"] = "stopping"
    if any(result != "ok" for result in checks.values()):
        raise Problem(NOT_READY, checks=checks)
    return _ok({"checks": checks})


async def _database_checks(database: AsyncDatabase) -> dict[str, str]:
    try:
        revision = await database.run(migrations.database_revision(), timeout=_TIMEOUT)
    except PermissionMissing:
        # An older schema: a later revision grants the tenant role SELECT on the version table.
        return {"database": "ok", "schema": "behind"}
    except DatabaseNotReady:
        return {"database": "ok", "schema": "missing"}
    except TaskcoreError:
        return {"database": "unavailable", "schema": "unknown"}
    behind = migrations.is_behind(revision)
    return {"database": "ok", "schema": "behind" if behind else "ok"}


def _ok(more: dict[str, object]) -> Response:
    content = orjson.dumps({"status": "ok", **more})
    return Response(content, 200, {"Cache-Control": "no-store"}, "application/json")


def install(app: FastAPI) -> None:
    for path, endpoint in (("/health/live", live), ("/health/ready", ready)):
        app.add_api_route(
            path, endpoint, methods=["GET", "HEAD"], include_in_schema=False, response_model=None
        )
