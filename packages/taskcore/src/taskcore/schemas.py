"""What crosses a boundary: the fields that may come in, and the task that goes out.

These are pydantic models and not SQLModel ones: a `TaskRead` is made for every row of a list,
and a plain pydantic model is made in less than half the time. They are frozen, because what is
assigned later would be checked by nobody.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Self, TypeAlias
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StringConstraints,
    model_validator,
)

from .errors import InvalidInput

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def clean(text: str) -> str:
    """The text, unless PostgreSQL could not store it or UTF-8 not carry it."""
    if _UNSTORABLE.search(text):
        raise ValueError("must not contain a NUL character or a lone surrogate")
    return text


def valid_owner(owner: object) -> str:
    """The owner's id, unless it can't be one."""
    if not isinstance(owner, str):
        raise InvalidInput("owner must be a string")
    if not 1 <= len(owner) <= 255:
        raise InvalidInput("owner must have 1 to 255 characters")
    try:
        return clean(owner)
    except ValueError as error:
        raise InvalidInput(f"owner {error}") from None


Title = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=500),
    AfterValidator(clean),
]
Description = Annotated[str, StringConstraints(max_length=10_000), AfterValidator(clean)]


class TaskCreate(BaseModel):
    """A task to be made."""

    model_config = ConfigDict(frozen=True)

    title: Title = Field(examples=["Buy milk"])
    description: Description | None = Field(default=None, examples=["Two litres, oat"])
    completed: StrictBool = False


def _absent() -> Any:
    """Stands in for a field that was not given; a default that no schema shows."""
    return None


class TaskUpdate(BaseModel):
    """What is to change: a field that is absent keeps its value, and one must be given."""

    model_config = ConfigDict(frozen=True)

    title: Title = Field(default_factory=_absent, examples=["Buy oat milk"])
    description: Description | None = Field(default_factory=_absent, examples=[None])
    completed: StrictBool = Field(default_factory=_absent, examples=[True])

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("give at least one of title, description, completed")
        return self


class TaskRead(BaseModel):
    """A task as it is stored; `updated_at` is also its version."""

    model_config = ConfigDict(from_attributes=True, frozen=True)

    id: UUID
    user_id: str
    title: str
    description: str | None
    completed: bool
    created_at: datetime
    updated_at: datetime


class TaskCreated(TaskRead):
    """A task that a create led to; `replayed` if an earlier run of that create had made it."""

    replayed: bool = Field(default=False, exclude=True)


TaskRow: TypeAlias = tuple[UUID, str, str, str | None, bool, datetime, datetime]
CreatedRow: TypeAlias = tuple[UUID, str, str, str | None, bool, datetime, datetime, bool]


def task_read(row: TaskRow) -> TaskRead:
    task_id, user_id, title, description, completed, created_at, updated_at = row
    return TaskRead(
        id=task_id,
        user_id=user_id,
        title=title,
        description=description,
        completed=completed,
        created_at=created_at,
        updated_at=updated_at,
    )


def task_reads(rows: list[TaskRow]) -> list[TaskRead]:
    return [task_read(row) for row in rows]


def task_created(row: CreatedRow) -> TaskCreated:
    task_id, user_id, title, description, completed, created_at, updated_at, replayed = row
    return TaskCreated(
        id=task_id,
        user_id=user_id,
        title=title,
        description=description,
        completed=completed,
        created_at=created_at,
        updated_at=updated_at,
        replayed=replayed,
    )
