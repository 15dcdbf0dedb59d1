"""The order of checks of a request: token, then path, headers and body, then the database.

FastAPI reads and parses the body before it runs a dependency, so broken JSON would be answered 422
before a missing token is answered 401. This route class takes the inputs itself, in the contract's
order. It reads them from the endpoint's signature, from which FastAPI writes the OpenAPI document.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Coroutine
from typing import Annotated, Any, TypeAlias, TypeVar, cast, get_args, get_origin, get_type_hints

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from . import bodies
from .inputs import BodyInput, Faults, HeaderInput, PathInput, refuse
from .problems import Fault
from .task_request import USER, TaskRequest

Input = TypeVar("Input")
Handler: TypeAlias = Callable[[Request], Coroutine[Any, Any, Response]]


class TaskRoute(APIRoute):
    """A route that verifies the token before it reads any input."""

    handle_request: Handler
    """The handler alone, without what FastAPI puts around it."""

    def get_route_handler(self) -> Handler:
        endpoint = cast("Callable[..., Awaitable[Response]]", self.endpoint)
        parameters = inspect.signature(endpoint).parameters
        inputs = [(name, path.take) for name, path in _annotated(endpoint, PathInput)]
        inputs += [(name, header.take) for name, header in _annotated(endpoint, HeaderInput)]
        # A body is required where its parameter has no default, as in the OpenAPI document.
        body_inputs = [
            (name, body.take, parameters[name].default is inspect.Parameter.empty)
            for name, body in _annotated(endpoint, BodyInput)
        ]
        if {"request", *(name for name, *_ in (*inputs, *body_inputs))} != set(parameters):
            raise TypeError(f"{endpoint.__name__} has a parameter that is not declared as an input")

        # A request that changes something has to be there as a whole: one that breaks off in a body
        # that nothing reads is answered as malformed or late, and must not have changed anything.
        discards_body = not body_inputs and not (self.methods or set()) <= {"GET", "HEAD"}

        async def handle_request(request: Request) -> Response:
            if not isinstance(request, TaskRequest):  # it comes from FastAPI
                request = TaskRequest(request.scope, request.receive)
            services, scope = request.services, request.scope
            scope[USER] = await services.authenticator.identify(scope["headers"])
            faults: Faults = []
            values = {name: take(request, faults) for name, take in inputs}
            for name, take_body, required in body_inputs:
                raw = await bodies.read(request, services.settings.body_limit)
                if raw:
                    values[name] = take_body(bodies.parse(request, raw), faults)
                elif required:
                    faults.append(Fault("body", "is needed"))
                else:
                    values[name] = None
            if discards_body:
                await bodies.discard(request)
            refuse(faults)
            return await endpoint(request=request, **values)

        self.handle_request = handle_request
        return handle_request


def _annotated(endpoint: Callable[..., Any], kind: type[Input]) -> list[tuple[str, Input]]:
    """The parameters that are annotated with an input of this kind."""
    hints = get_type_hints(endpoint, include_extras=True)
    return [
        (name, extra)
        for name, hint in hints.items()
        if get_origin(hint) is Annotated
        for extra in get_args(hint)
        if isinstance(extra, kind)
    ]
