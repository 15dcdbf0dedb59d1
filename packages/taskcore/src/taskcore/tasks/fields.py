"""What crosses the boundary: the fields that may come in, and the task that goes out.

The table `Task` is the source; a test compares these classes with it. They are pydantic models and
not SQLModel ones, because a `TaskRead` is made for every row of a list and a plain pydantic model
is made in less than half the time. They are frozen, because a later assignment is not validated.
"""

from __future__ import annotations

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
    TypeAdapter,
    model_validator,
)

from taskcore.owner import storable_text

Title = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=500),
    AfterValidator(storable_text),
]
Description = Annotated[str, StringConstraints(max_length=10_000), AfterValidator(storable_text)]


class TaskCreate(BaseModel):
    """The fields of a new task."""

    model_config = ConfigDict(frozen=True)

    title: Title = Field(examples=["Buy milk"])
    description: Description | None = Field(default=None, examples=["Two litres, oat"])
    completed: StrictBool = False


def _absent() -> Any:
    """Stand in for a field that was not given; as a factory, so that no schema shows a default."""
    return None


class TaskUpdate(BaseModel):
    """The fields to change: an absent field keeps its value, and at least one must be given."""

    model_config = ConfigDict(frozen=True)

    title: Title = Field(default_factory=_absent, examples=["Buy oat milk"])
    description: Description | None = Field(default_factory=_absent, examples=[None])
    completed: StrictBool = Field(default_factory=_absent, examples=[True])

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError(f"give at least one of {', '.join(type(self).model_fields)}")
        return self


class TaskRead(BaseModel):
    """A task as it is stored; `updated_at` is also its version."""

    model_config = ConfigDict(from_attributes=True, frozen=True)

    id: UUID = Field(examples=["0199a3c4-8d7e-7f6a-9b5c-4d3e2f1a0b9c"])
    user_id: str = Field(examples=["user_1"])
    title: str = Field(examples=["Buy milk"])
    description: str | None = Field(examples=["Two litres, oat"])
    completed: bool = Field(examples=[False])
    created_at: datetime = Field(examples=["2026-05-04T10:30:00.123456Z"])
    updated_at: datetime = Field(examples=["2026-05-04T10:30:00.123456Z"])


class TaskCreated(TaskRead):
    """The task of a create; `replayed` if an earlier run of the same create had made it."""

    replayed: bool = Field(default=False, exclude=True)


TASK_COLUMNS = tuple(TaskRead.model_fields)
"""The columns of every row that an operation reads, in this order."""

TaskRow: TypeAlias = tuple[Any, ...]


_TASKS = TypeAdapter(list[TaskRead])


def read_task(row: TaskRow) -> TaskRead:
    """Make the model of a row."""
    return TaskRead.model_validate(dict(zip(TASK_COLUMNS, row, strict=True)))


def read_tasks(rows: list[TaskRow]) -> list[TaskRead]:
    """Make the models of a list of rows, in one call: half the time of one call for each."""
    return _TASKS.validate_python([dict(zip(TASK_COLUMNS, row, strict=True)) for row in rows])
