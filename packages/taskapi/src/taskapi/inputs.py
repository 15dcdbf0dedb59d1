"""The inputs of a request besides its token: each declared once, and validated strictly.

An input is an object of FastAPI's, from which FastAPI writes the OpenAPI document, that also has
the function with which `TaskRoute` takes the value. FastAPI's own solving does not run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar
from uuid import UUID

from fastapi import params
from pydantic import BaseModel, ValidationError, WithJsonSchema
from starlette.requests import Request

from taskcore import InvalidInput, TaskCreate, TaskUpdate
from taskcore.tasks.ids import (
    IDEMPOTENCY_KEY_MAX_LENGTH,
    IDEMPOTENCY_KEY_PATTERN,
    valid_idempotency_key,
)

from .etags import Versions, matching_versions
from .problems import VALIDATION_FAILED, Fault, Problem

Model = TypeVar("Model", bound=BaseModel)
Faults = list[Fault]
TakeFromRequest = Callable[[Request, Faults], Any]
TakeFromBody = Callable[[Any, Faults], Any]

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)


class PathInput(params.Path):  # type: ignore[misc]  # FieldInfo is final to type checkers
    """A part of the path. `take` returns its value, or adds to the faults."""

    def __init__(self, take: TakeFromRequest, *, description: str) -> None:
        super().__init__(description=description)
        self.take = take


class HeaderInput(params.Header):  # type: ignore[misc]
    """A request header. `take` returns its value, or adds to the faults."""

    def __init__(
        self,
        name: str,
        take: TakeFromRequest,
        *,
        description: str,
        schema: Mapping[str, Any] | None = None,
        **constraints: Any,
    ) -> None:
        """`schema` replaces in OpenAPI the schema of the parameter's type."""
        super().__init__(alias=name, description=description, **constraints)
        self.take = take
        _replace_schema(self, schema)


class BodyInput(params.Body):  # type: ignore[misc]
    """The JSON body. `take` gets the parsed value; it is not called for an empty body."""

    def __init__(
        self,
        take: TakeFromBody,
        *,
        schema: Mapping[str, Any] | None = None,
        **documentation: Any,
    ) -> None:
        super().__init__(**documentation)
        self.take = take
        _replace_schema(self, schema)


def _replace_schema(declared: params.Param | params.Body, schema: Mapping[str, Any] | None) -> None:
    if schema is not None:
        declared.metadata.append(WithJsonSchema(dict(schema)))


def _values(request: Request, name: bytes) -> list[str]:
    # Not request.headers, which is made for each request and searched by Python code.
    return [value.decode("latin-1") for key, value in request.scope["headers"] if key == name]


def _task_id(request: Request, faults: Faults) -> UUID | None:
    text = request.path_params["id"]
    if not _UUID.fullmatch(text):
        faults.append(Fault("path.id", "must be a UUID with hyphens"))
        return None
    return UUID(int=int(text.replace("-", ""), 16))  # in half the time of UUID(text)


def _idempotency_key(request: Request, faults: Faults) -> str | None:
    keys = _values(request, b"idempotency-key")
    if not keys:
        return None
    try:
        if len(keys) == 1:
            return valid_idempotency_key(keys[0])
    except InvalidInput:
        pass
    characters = f"1 to {IDEMPOTENCY_KEY_MAX_LENGTH} visible ASCII characters"
    faults.append(Fault("header.Idempotency-Key", f"must be {characters}"))
    return None


def _if_match(request: Request, _: Faults) -> Versions | None:
    tags = _values(request, b"if-match")
    return matching_versions(",".join(tags)) if tags else None


def _if_none_match(request: Request, _: Faults) -> str | None:
    tags = _values(request, b"if-none-match")
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
    """The message of a pydantic error, without the prefix that pydantic adds to a ValueError."""
    if fault["type"] == "model_type":  # pydantic's message names the Python class
        return "must be an object"
    cause = fault.get("ctx", {}).get("error")
    return str(cause) if isinstance(cause, ValueError) else str(fault["msg"])


def _completed(value: Any, faults: Faults) -> bool | None:
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
    """Raise the 422 if there are faults."""
    if faults:
        raise Problem(VALIDATION_FAILED, faults=faults)


TaskId = Annotated[UUID, PathInput(_task_id, description="The task's id.")]
IdempotencyKey = Annotated[
    str | None,
    HeaderInput(
        "Idempotency-Key",
        _idempotency_key,
        description="A create sent again with its key answers with the task that it made.",
        min_length=1,
        max_length=IDEMPOTENCY_KEY_MAX_LENGTH,
        pattern=IDEMPOTENCY_KEY_PATTERN,
    ),
]
IfMatch = Annotated[
    Versions | None,
    HeaderInput(
        "If-Match",
        _if_match,
        description="ETags of which one must still be the task's, or `*`.",
        schema={"type": "string"},
    ),
]
IfNoneMatch = Annotated[
    str | None,
    HeaderInput(
        "If-None-Match",
        _if_none_match,
        description="ETags of what the client has: 304 if it still is.",
        schema={"type": "string"},
    ),
]
NewTask = Annotated[TaskCreate, BodyInput(_model(TaskCreate))]
TaskChange = Annotated[TaskUpdate, BodyInput(_model(TaskUpdate))]
Completed = Annotated[
    bool | None,
    BodyInput(
        _completed,
        description="Nothing, or an empty object, toggles.",
        schema={
            "title": "Completion",
            "type": "object",
            "properties": {"completed": {"type": "boolean"}},
            "examples": [{"completed": True}, {}],
        },
    ),
]
