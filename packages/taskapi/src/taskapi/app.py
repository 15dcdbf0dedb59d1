"""The application: everything that a process needs is made here, and nothing at import."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp, Receive, Scope, Send

from taskcore import AsyncDatabase, TaskcoreError

from . import docs, health, openapi, problems, routes
from .auth import authenticator_for
from .direct_path import DirectPath
from .middleware import METHODS, Cors, RequestMiddleware
from .problems import Problem
from .readiness import Readiness
from .request_id import REQUEST_ID
from .services import Services, services_of
from .settings import ConfigurationError, Settings
from .telemetry import startup
from .telemetry.counters import count_problem
from .telemetry.paths import PathRedaction

_log = logging.getLogger(__name__)


def create_app_from_environment() -> FastAPI:
    """The application with the environment's settings: a factory for ASGI servers.

    Faulty settings end the process with one sentence. Logging is left to the ASGI server.
    """
    try:
        settings = Settings.from_environment()
    except ConfigurationError as error:
        raise SystemExit(str(error)) from None
    return create_app(settings)


class TaskApi(FastAPI):
    """FastAPI with the direct path in front of it."""

    direct_path: DirectPath

    def build_middleware_stack(self) -> ASGIApp:
        """What FastAPI's telemetry runs for a request that does not take the direct path."""
        return PathRedaction(super().build_middleware_stack(), self.routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.direct_path(scope, receive, send)


def create_app(settings: Settings) -> FastAPI:
    """The application with these settings. It opens no connection before its lifespan starts."""
    app = TaskApi(
        title="taskapi",
        version=openapi.VERSION,
        summary="Tasks that belong to one user each.",
        description=openapi.DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_lifespan,
        middleware=[Middleware(Cors, settings.cors_origins), Middleware(RequestMiddleware)],
        exception_handlers={
            Problem: _answer_problem,
            TaskcoreError: _answer_error,
            404: _answer_route_not_found,
            405: _answer_method_not_allowed,
        },
        # FastAPI's own log of an exception could quote a body. RequestMiddleware logs exceptions.
        telemetry={"logs": False},
    )
    url = settings.database_url.get_secret_value()
    prepare = None if settings.transaction_pooler is None else not settings.transaction_pooler
    database = AsyncDatabase(
        url,
        max_size=settings.pool_size,
        max_waiting=settings.pool_queue,
        timeout=settings.deadline,
        pool_timeout=settings.pool_wait,
        statement_timeout=settings.statement_timeout,
        prepare=prepare,
    )
    readiness = Readiness(url, prepare=prepare)
    app.state.services = Services(settings, authenticator_for(settings), database, readiness)
    routes.install(app)
    health.install(app)
    if settings.docs:
        docs.install(app)
    openapi.install(app)
    app.direct_path = DirectPath(app, super(TaskApi, app).__call__)
    return app


@asynccontextmanager
async def _lifespan(app: TaskApi) -> AsyncIterator[None]:
    services = services_of(app)
    if startup.is_configured():
        app.direct_path.closed = True
        startup.begin(services)
    async with services.database:
        await services.readiness.open()
        await services.authenticator.open()
        try:
            yield
        finally:
            await services.authenticator.close()
            await services.readiness.close()


async def _answer_problem(request: Request, problem: Problem) -> Response:
    count_problem(problem)
    if problem.reason is not None:
        _log.debug("%s: %s (%s)", problem.kind.code, problem.reason, request.scope[REQUEST_ID])
    return problems.answer(problem, request.scope[REQUEST_ID])


async def _answer_error(request: Request, error: TaskcoreError) -> Response:
    problem = problems.of_error(error)
    if problem.kind is problems.INTERNAL_ERROR:
        raise error
    _log.debug("%s: %s (%s)", type(error).__name__, error, request.scope[REQUEST_ID])
    return await _answer_problem(request, problem)


async def _answer_route_not_found(request: Request, _: Exception) -> Response:
    return await _answer_problem(request, Problem(problems.ROUTE_NOT_FOUND))


async def _answer_method_not_allowed(request: Request, _: Exception) -> Response:
    # Each route has one method, so Allow is collected from all routes of the path.
    allowed = {
        method
        for method in METHODS
        for route in request.app.router.routes
        if route.matches({**request.scope, "method": method})[0] is Match.FULL
    }
    headers = {"Allow": ", ".join(method for method in METHODS if method in allowed)}
    return await _answer_problem(request, Problem(problems.METHOD_NOT_ALLOWED, headers=headers))
