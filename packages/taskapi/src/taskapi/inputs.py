"""What a request may carry besides its token: each kind of input declared once, and taken strictly.

An endpoint's signature says it twice in one annotation: to FastAPI, which writes the OpenAPI
document from it, and to `TaskRoute`, which takes the value with the `Take` that stands beside.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar
from uuid import UUID

from fastapi import Body, Depends, Header, Path, Security
from fastapi.security import HTTPBearer
from pydantic import BaseModel, ValidationError, WithJsonSchema
from starlette.requests import Request

from taskcore import AsyncDatabase, TaskCreate, TaskUpdate

from .etags import Versions, matching_versions
from .problems import VALIDATION_FAILED, Fault, Problem

USER = "taskapi.user"
"""Where in a request's scope the user id is, once the door has let it in."""

Model = TypeVar("Model", bound=BaseModel)
Faults = list[Fault]

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_KEY = re.compile(r"[!-~]{1,255}")


@dataclass(frozen=True, slots=True)
class Take:
    """How a value is taken from a request; what is wrong with it is added to the faults."""

    take: Callable[[Request, Faults], Any]


@dataclass(frozen=True, slots=True)
class TakeBody:
    """How the value of a body is taken, once it is read; None where there was none."""

    take: Callable[[Any, Faults], Any]
    needed: bool


def _database(request: Request) -> AsyncDatabase:
    database: AsyncDatabase = request.app.state.database
    return database


def _id(request: Request, faults: Faults) -> UUID | None:
    text = request.path_params["id"]
    if not _UUID.fullmatch(text):
        faults.append(Fault("path.id", "must be a UUID with hyphens"))
        return None
    return UUID(text)


def _key(request: Request, faults: Faults) -> str | None:
    keys = request.headers.getlist("idempotency-key")
    if not keys:
        return None
    if len(keys) > 1 or not _KEY.fullmatch(keys[0]):
        faults.append(Fault("header.Idempotency-Key", "must be 1 to 255 visible ASCII characters"))
    return keys[0]


def _expected(request: Request, _: Faults) -> Versions | None:
    tags = request.headers.getlist("if-match")
    return matching_versions(",".join(tags)) if tags else None


def _known(request: Request, _: Faults) -> str | None:
    tags = request.headers.getlist("if-none-match")
    return ",".join(tags) if tags else None


def _model(model: type[Model]) -> Callable[[Any, Faults], Model | None]:
    def take(value: Any, faults: Faults) -> Model | None:
        try:
            return model.model_validate(value)
        except ValidationError as error:
            faults.extend(
                Fault(".".join(map(str, fault["loc"])) or "body", _message(fault))
                for fault in error.errors(include_url=False, include_input=False)
            )
            return None

    return take


def _message(fault: Any) -> str:
    """Pydantic's sentence, as it would be said of a field."""
    if fault["type"] == "model_type":  # its own sentence names a class of ours
        return "must be an object"
    own = fault.get("ctx", {}).get("error")
    return str(own) if isinstance(own, ValueError) else str(fault["msg"])


def _completion(value: Any, faults: Faults) -> bool | None:
    if value == {}:
        return None
    if not isinstance(value, dict):
        faults.append(Fault("body", "must be an object"))
    elif not isinstance(value.get("completed"), bool):
        faults.append(Fault("completed", "must be true or false, or nothing at all be sent"))
    else:
        return bool(value["completed"])
    return None


def refuse(faults: Faults) -> None:
    if faults:
        raise Problem(VALIDATION_FAILED, faults=faults)


_BEARER = HTTPBearer(bearerFormat="JWT", scheme_name="bearer", auto_error=False)
_TAGS = WithJsonSchema({"type": "string"})

Db = Annotated[AsyncDatabase, Depends(_database), Take(lambda request, _: _database(request))]
Owner = Annotated[str, Security(_BEARER), Take(lambda request, _: request.scope[USER])]
TaskId = Annotated[UUID, Path(description="The task's id."), Take(_id)]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern="^[!-~]+$",
        description="A create sent again with its key answers with the task that it made.",
    ),
    Take(_key),
]
IfMatch = Annotated[
    Versions | None,
    Header(alias="If-Match", description="ETags of which one must still be the task's, or `*`."),
    _TAGS,
    Take(_expected),
]
IfNoneMatch = Annotated[
    str | None,
    Header(alias="If-None-Match", description="ETags of what the client has: 304 if it still is."),
    _TAGS,
    Take(_known),
]
NewTask = Annotated[TaskCreate, Body(), TakeBody(_model(TaskCreate), needed=True)]
Change = Annotated[TaskUpdate, Body(), TakeBody(_model(TaskUpdate), needed=True)]
Completed = Annotated[
    bool | None,
    Body(description="Nothing, or an empty object, toggles."),
    WithJsonSchema(
        {
            "title": "Completion",
            "type": "object",
            "properties": {"completed": {"type": "boolean"}},
            "examples": [{"completed": True}, {}],
        }
    ),
    TakeBody(_completion, needed=False),
]
