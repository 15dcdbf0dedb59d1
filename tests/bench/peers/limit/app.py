"""The limit: the least work in Python for the same answers, without any of the checks.

Bare Starlette and psycopg, the same two pipelined statements, PyJWT, orjson; nothing is validated,
no error is handled, no header is set. So it does not fulfil the contract.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, LiteralString
from uuid import uuid4

import jwt
import orjson
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bench import statements

_SECRET = os.environ["BETTER_AUTH_SECRET"]
_POOL = int(os.environ["POOL_SIZE"])


async def _run(
    request: Request, statement: LiteralString, values: dict[str, Any] | None = None
) -> list[dict[str, Any]]:
    token = request.headers["authorization"][7:]
    owner = jwt.decode(token, _SECRET, algorithms=["HS256"])["sub"]
    given = {"owner": owner, **request.path_params, **(values or {})}
    async with request.app.state.pool.connection() as connection:
        async with connection.pipeline():
            await connection.execute(statements.BIND, (owner,))
            cursor = connection.cursor(row_factory=dict_row)
            await cursor.execute(statement, given, binary=True)
        rows: list[dict[str, Any]] = await cursor.fetchall()
        return rows


def _answer(content: Any, status: int = 200) -> Response:
    body = orjson.dumps(content, option=orjson.OPT_UTC_Z)
    return Response(body, status, media_type="application/json")


async def _list(request: Request) -> Response:
    return _answer(await _run(request, statements.LIST))


async def _create(request: Request) -> Response:
    values = {"id": uuid4(), "description": None, **orjson.loads(await request.body())}
    return _answer((await _run(request, statements.CREATE, values))[0], 201)


async def _get(request: Request) -> Response:
    return _answer((await _run(request, statements.GET))[0])


async def _update(request: Request) -> Response:
    nothing = {"title": None, "description": None, "completed": None}
    values = {**nothing, **orjson.loads(await request.body())}
    return _answer((await _run(request, statements.UPDATE, values))[0])


async def _delete(request: Request) -> Response:
    await _run(request, statements.DELETE)
    return Response(None, 204)


async def _toggle(request: Request) -> Response:
    return _answer((await _run(request, statements.TOGGLE))[0])


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    async with AsyncConnectionPool(
        os.environ["DATABASE_URL"],
        kwargs={"autocommit": True},
        min_size=_POOL,
        max_size=_POOL,
        open=False,
    ) as app.state.pool:
        yield


app = Starlette(
    routes=[
        Route("/api/tasks", _list),
        Route("/api/tasks", _create, methods=["POST"]),
        Route("/api/tasks/{id}", _get),
        Route("/api/tasks/{id}", _update, methods=["PUT"]),
        Route("/api/tasks/{id}", _delete, methods=["DELETE"]),
        Route("/api/tasks/{id}/complete", _toggle, methods=["PATCH"]),
    ],
    lifespan=_lifespan,
)
