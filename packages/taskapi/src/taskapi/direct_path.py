"""The short way to the six endpoints: from the application's entry to the route's own handler.

A request whose method and path match a task route exactly needs nothing that lies between the two
in FastAPI: its middleware for bodies and exit stacks, and the search for a route. The application's
own middleware runs as always. Everything else goes through FastAPI: other paths, trailing slashes,
wrong methods, a root path, and every request while telemetry is configured.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias, cast

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from taskcore import TaskcoreError

from .problems import Problem
from .task_request import TaskRequest
from .task_route import TaskRoute

Handler: TypeAlias = Callable[[Request, Exception], Awaitable[Response]]


class DirectPath:
    """One table, made of the task routes that the application has."""

    closed = False
    """Whether every request goes through FastAPI; decided when the application starts."""

    def __init__(self, app: FastAPI, rest: ASGIApp) -> None:
        """`rest` is the application as FastAPI serves it."""
        self._app = app
        self._rest = rest
        self._routes: dict[tuple[str, ...], TaskRoute] = {}
        # By the number of a path's segments: the place of the one that is a parameter.
        self._parameters: dict[int, tuple[int, str]] = {}
        for route in app.routes:
            if isinstance(route, TaskRoute):
                self._add(route)
        # Made at the first request, as FastAPI makes its own: the application is complete then.
        self._stack: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or (route := self._route(scope)) is None:
            await self._rest(scope, receive, send)
            return
        if self._stack is None:
            self._stack = self._rest if self.closed else self._with_middleware()
        scope["app"] = self._app
        scope["route"] = route
        await self._stack(scope, receive, send)

    def _add(self, route: TaskRoute) -> None:
        segments = route.path_format.split("/")
        parameters = [(n, name) for n, name in enumerate(segments) if name.startswith("{")]
        for parameter in parameters:
            if self._parameters.setdefault(len(segments), parameter) != parameter:
                raise TypeError(f"{route.path_format} does not fit the table of direct paths")
        for method in route.methods or ():
            self._routes[(method, *segments)] = route

    def _route(self, scope: Scope) -> TaskRoute | None:
        if scope.get("root_path"):
            return None
        segments: list[str] = scope["path"].split("/")
        parameter = self._parameters.get(len(segments))
        path_params = {}
        if parameter is not None:
            place, name = parameter
            value = segments[place]
            if not value or "\n" in value:
                return None
            path_params[name[1:-1]] = value
            segments[place] = name
        route = self._routes.get((scope["method"], *segments))
        if route is not None:
            scope["path_params"] = path_params
        return route

    def _with_middleware(self) -> ASGIApp:
        app: ASGIApp = self._answer
        for cls, args, kwargs in reversed(self._app.user_middleware):
            app = cls(app, *args, **kwargs)
        return app

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = TaskRequest(scope, receive)
        try:
            response = await scope["route"].handle_request(request)
        except (Problem, TaskcoreError) as error:
            # The nearest class that has a handler, as Starlette looks for it.
            handlers = self._app.exception_handlers
            kind = next(each for each in type(error).__mro__ if each in handlers)
            response = await cast(Handler, handlers[kind])(request, error)
        await response(scope, receive, send)
