"""Whether the process lives, and whether it can serve."""

from __future__ import annotations

import orjson
from fastapi import FastAPI, Request
from starlette.responses import Response

from taskcore import DatabaseNotReady, RowRefused, TaskcoreError
from taskcore.revision import database_revision

from .problems import NOT_READY, Problem

_TIMEOUT = 2.0


async def live() -> Response:
    """The process answers."""
    return _ok({})


async def ready(request: Request) -> Response:
    """The database is there, its schema not behind the code, keys are, and no stop is under way."""
    checks = await _database(request.app)
    keys = request.app.state.door.keys
    if keys is not None:
        checks["keys"] = "ok" if keys.loaded else "unavailable"
    if request.app.state.draining:
        checks["process"] = "stopping"
    if any(result != "ok" for result in checks.values()):
        raise Problem(NOT_READY, checks=checks)
    return _ok({"checks": checks})


async def _database(app: FastAPI) -> dict[str, str]:
    try:
        revision = await app.state.database.run(database_revision(), timeout=_TIMEOUT)
    except DatabaseNotReady:
        return {"database": "ok", "schema": "missing"}
    except RowRefused:  # the tenant may not ask yet: the revision that lets it is still to come
        return {"database": "ok", "schema": "behind"}
    except TaskcoreError:
        return {"database": "unavailable", "schema": "unknown"}
    # A revision that this code does not know is a newer one: a deploy migrates first.
    behind = revision is None or revision in app.state.older_revisions
    return {"database": "ok", "schema": "behind" if behind else "ok"}


def _ok(more: dict[str, object]) -> Response:
    content = orjson.dumps({"status": "ok", **more})
    return Response(content, 200, {"Cache-Control": "no-store"}, "application/json")


def install(app: FastAPI) -> None:
    for path, endpoint in (("/health/live", live), ("/health/ready", ready)):
        app.add_api_route(
            path, endpoint, methods=["GET", "HEAD"], include_in_schema=False, response_model=None
        )
