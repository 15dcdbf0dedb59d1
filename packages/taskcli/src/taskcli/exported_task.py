"""Reads and checks what `taskcli tasks export` wrote, line by line.

The fields are those of `TaskRead`, so a new field needs no change here. An export may be older than
a field: a nullable field that a line does not have is None.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from types import NoneType
from typing import BinaryIO, get_args

from pydantic import ConfigDict, ValidationError, ValidationInfo, field_validator, model_validator

from taskcore import Task, TaskRead
from taskcore.owner import storable_text, valid_owner

from .failures import Failure

_NULLABLE = dict.fromkeys(
    name for name, field in TaskRead.model_fields.items() if NoneType in get_args(field.annotation)
)
_MAX_LENGTH = {
    column.name: length
    for column in Task.__table__.c
    if (length := getattr(column.type, "length", None)) is not None
}


UNFINISHED = b'{"unfinished": true}'
"""The last line of an export that was stopped or failed."""


class ExportedTask(TaskRead):
    """A task as the table can hold it, which is more than the API accepts (an empty title)."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _add_missing_nullable(cls, values: object) -> object:
        return {**_NULLABLE, **values} if isinstance(values, dict) else values

    @field_validator("*")
    @classmethod
    def _storable(cls, value: object, info: ValidationInfo) -> object:
        if isinstance(value, datetime) and value.utcoffset() is None:
            raise ValueError("must have a time zone")
        if isinstance(value, str):
            storable_text(value)
            longest = _MAX_LENGTH.get(info.field_name or "")
            if longest is not None and len(value) > longest:
                raise ValueError(f"must have at most {longest} characters")
        return value

    @field_validator("user_id")
    @classmethod
    def _possible_user(cls, value: str) -> str:
        return valid_owner(value)


def read(source: BinaryIO) -> Iterator[ExportedTask]:
    """The tasks of an export; a Failure names the first line that is wrong."""
    for number, line in enumerate(source, 1):
        try:
            task = ExportedTask.model_validate_json(line)
        except ValidationError as error:
            if UNFINISHED in (line.strip(), next(source, b"").strip()):
                raise Failure(
                    f"the export was not finished, after line {number - 1}; nothing was imported"
                ) from None
            raise Failure(
                f"line {number} is no task ({_first_fault(error)}); nothing was imported"
            ) from None
        yield task


def _first_fault(error: ValidationError) -> str:
    fault = error.errors(include_input=False, include_url=False)[0]
    field = ".".join(map(str, fault["loc"])) or "it"
    return f"{field}: {fault.get('ctx', {}).get('error') or fault['msg']}"
