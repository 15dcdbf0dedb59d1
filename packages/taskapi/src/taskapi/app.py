"""The application: everything that a process needs is made here, and nothing at import."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.routing import Match

from taskcore import AsyncDatabase, TaskcoreError, schema

from . import docs, health, logs, openapi, problems, routes
from .auth import door_for
from .edge import METHODS, Cors, Edge
from .problems import Problem
from .settings import ConfigurationError, Settings
from .telemetry import count_problem, observe_pool


def create_app(settings: Settings | None = None) -> FastAPI:
    """The server for these settings, or for those of the environment."""
    if settings is None:
        # As a factory of uvicorn's: what is wrong is one sentence, without a traceback.
        try:
            settings = Settings.from_environment()
        except ConfigurationError as error:
            raise SystemExit(str(error)) from None
        logs.configure(settings.log_format)

    app = FastAPI(
        title="taskapi",
        version=openapi.VERSION,
        summary="Tasks that belong to one user each.",
        description=openapi.DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_lifespan,
        middleware=[Middleware(Cors, settings.cors_origins), Middleware(Edge)],
        exception_handlers={
            Problem: _answer_problem,
            TaskcoreError: _answer_error,
            404: _answer_no_route,
            405: _answer_no_method,
        },
        # What FastAPI logs of exceptions could quote a body; our own log says what may be said.
        telemetry={"logs": False},
    )
    app.state.settings = settings
    app.state.door = door_for(settings)
    app.state.draining = False
    app.state.older_revisions = schema.older_revisions()
    app.state.database = AsyncDatabase(
        settings.database_url.get_secret_value(),
        max_size=settings.pool_size,
        max_waiting=settings.pool_queue,
        timeout=settings.deadline,
        pool_timeout=settings.pool_wait,
        statement_timeout=settings.statement_timeout,
        prepare=None if settings.transaction_pooler is None else not settings.transaction_pooler,
    )
    observe_pool(app.state.database)
    routes.install(app)
    health.install(app)
    if settings.docs:
        docs.install(app)
    openapi.install(app)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with app.state.database:
        await app.state.door.open()
        try:
            yield
        finally:
            await app.state.door.close()


async def _answer_problem(request: Request, problem: Problem) -> Response:
    count_problem(problem)
    return problems.answer(problem, request.scope["taskapi.request_id"])


async def _answer_error(request: Request, error: TaskcoreError) -> Response:
    hide = request.app.state.settings.hide_foreign_tasks
    problem = problems.of_error(error, hide_foreign_tasks=hide)
    if problem.kind is problems.INTERNAL_ERROR:
        raise error
    return await _answer_problem(request, problem)


async def _answer_no_route(request: Request, _: Exception) -> Response:
    return await _answer_problem(request, Problem(problems.ROUTE_NOT_FOUND))


async def _answer_no_method(request: Request, _: Exception) -> Response:
    allowed = {
        method
        for method in METHODS
        for route in request.app.router.routes
        if route.matches({**request.scope, "method": method})[0] is Match.FULL
    }
    headers = {"Allow": ", ".join(method for method in METHODS if method in allowed)}
    return await _answer_problem(request, Problem(problems.METHOD_NOT_ALLOWED, headers=headers))
