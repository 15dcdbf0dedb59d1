"""The order in which a request is judged: token, then path, headers and body, then the database.

FastAPI reads and validates a body before it solves any dependency, so that a stranger's broken
body would be told so. This route class takes a request's inputs itself, in the contract's order;
which inputs there are is what the endpoint's signature says, as in the OpenAPI document.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Coroutine
from typing import Annotated, Any, TypeVar, cast, get_args, get_origin, get_type_hints

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from . import bodies
from .inputs import USER, Faults, Take, TakeBody, refuse
from .problems import Fault

Kind = TypeVar("Kind")


class TaskRoute(APIRoute):
    """A route on which a request is judged before anything is spent on it."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        endpoint = cast("Callable[..., Awaitable[Response]]", self.endpoint)
        takes = [(name, take.take) for name, take in _annotated(endpoint, Take)]
        with_body = _annotated(endpoint, TakeBody)

        async def judge(request: Request) -> Response:
            state = request.app.state
            request.scope[USER] = await state.door.identify(request.scope["headers"])
            faults: Faults = []
            values = {name: take(request, faults) for name, take in takes}
            for name, body in with_body:
                raw = await bodies.read(request, state.settings.body_limit)
                if raw:
                    values[name] = body.take(bodies.parse(request, raw), faults)
                elif body.needed:
                    faults.append(Fault("body", "is needed"))
                else:
                    values[name] = None
            refuse(faults)
            return await endpoint(**values)

        if len(takes) + len(with_body) != len(inspect.signature(endpoint).parameters):
            raise TypeError(f"{endpoint.__name__} has a parameter that nothing takes")
        return judge


def _annotated(endpoint: Callable[..., Any], kind: type[Kind]) -> list[tuple[str, Kind]]:
    """The parameters that are annotated with something of this kind, and that."""
    hints = get_type_hints(endpoint, include_extras=True)
    return [
        (name, extra)
        for name, hint in hints.items()
        if get_origin(hint) is Annotated
        for extra in get_args(hint)
        if isinstance(extra, kind)
    ]
