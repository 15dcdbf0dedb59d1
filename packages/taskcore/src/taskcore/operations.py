"""What a user can do with tasks: each operation written once, for every way of running it.

The owner comes first in every operation and stands in the WHERE of every statement. That is the
first of the two locks; the second, row-level security, is bound by whoever runs the operation.
An operation asks no clock and no chance while it runs: a new id is drawn when the value is made.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Never, TypeAlias, cast
from uuid import UUID

from sqlalchemy import (
    Boolean,
    ColumnElement,
    DateTime,
    Interval,
    Text,
    Uuid,
    any_,
    bindparam,
    case,
    delete,
    func,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.sql.expression import false, true

from .effects import Effect, Op, Statement, first, rows
from .errors import InvalidInput, NotTaskOwner, StaleTask, TaskNotFound, UnknownUser
from .ids import derived_task_id, new_task_id
from .models import SCHEMA, Task
from .schemas import (
    CreatedRow,
    TaskCreate,
    TaskCreated,
    TaskRead,
    TaskRow,
    TaskUpdate,
    task_created,
    task_read,
    task_reads,
    valid_owner,
)

Versions: TypeAlias = datetime | Iterable[datetime]
"""A value of `updated_at`, or several of which one must match."""

# --- the statements -------------------------------------------------------------------------------

_tasks = Task.__table__
_COLUMNS = tuple(_tasks.c[name] for name in TaskRead.model_fields)
_OWNER = bindparam("owner", type_=Text())
_ID = bindparam("task_id", type_=Uuid())
_EXPECTED = bindparam("expected", type_=ARRAY(DateTime(timezone=True)))
_FRESH = or_(_EXPECTED.is_(None), _tasks.c.updated_at == any_(_EXPECTED))
# The version moves strictly forward, whatever the clock does.
_NEXT_VERSION = func.greatest(
    func.now(), _tasks.c.updated_at + literal_column("interval '1 microsecond'", Interval)
)


def _if_given(name: str) -> ColumnElement[Any]:
    """A column's new value where one is given, and its old one otherwise."""
    column = _tasks.c[name]
    return case(
        (bindparam(f"{name}_given", type_=Boolean()), bindparam(f"new_{name}", type_=column.type)),
        else_=column,
    )


_CREATE = Statement(
    insert(_tasks)
    .values(
        user_id=_OWNER,
        id=_ID,
        title=bindparam("new_title", type_=Text()),
        description=bindparam("new_description", type_=Text()),
        completed=bindparam("new_completed", type_=Boolean()),
    )
    .on_conflict_do_nothing(index_elements=[_tasks.c.user_id, _tasks.c.id])
    .returning(*_COLUMNS, false()),
    repeatable=True,  # the id came with it, so the second time conflicts with the first
)
_REPLAY = Statement(
    select(*_COLUMNS, true()).where(_tasks.c.user_id == _OWNER, _tasks.c.id == _ID),
)
_LIST = Statement(
    select(*_COLUMNS)
    .where(_tasks.c.user_id == _OWNER)
    .order_by(_tasks.c.created_at.desc(), _tasks.c.id.desc()),
)
_GET = Statement(
    select(*_COLUMNS).where(_tasks.c.user_id == _OWNER, _tasks.c.id == _ID),
)
_UPDATE = Statement(
    update(_tasks)
    .where(_tasks.c.user_id == _OWNER, _tasks.c.id == _ID, _FRESH)
    .values(
        title=_if_given("title"),
        description=_if_given("description"),
        completed=_if_given("completed"),
        updated_at=_NEXT_VERSION,
    )
    .returning(*_COLUMNS),
)
_TOGGLE = Statement(
    update(_tasks)
    .where(_tasks.c.user_id == _OWNER, _tasks.c.id == _ID, _FRESH)
    .values(completed=~_tasks.c.completed, updated_at=_NEXT_VERSION)
    .returning(*_COLUMNS),
)
_SET_COMPLETED = Statement(
    update(_tasks)
    .where(_tasks.c.user_id == _OWNER, _tasks.c.id == _ID, _FRESH)
    .values(completed=bindparam("new_completed", type_=Boolean()), updated_at=_NEXT_VERSION)
    .returning(*_COLUMNS),
)
_DELETE = Statement(
    delete(_tasks)
    .where(_tasks.c.user_id == _OWNER, _tasks.c.id == _ID, _FRESH)
    .returning(_tasks.c.id),
)
_WHY_MISSED = Statement(
    select(getattr(func, SCHEMA).taskcore_why_missed(_OWNER, _ID)),
)

# --- the operations -------------------------------------------------------------------------------


def create_task(
    owner: str, task: TaskCreate, *, key: str | None = None
) -> Op[CreatedRow, TaskCreated]:
    """Make a task. With an idempotency key the same task, however often it is run."""
    task_id = new_task_id() if key is None else _derived_id(owner, key)
    return Op(owner, _create, (task_id, task), task_created)


def list_tasks(owner: str) -> Op[list[TaskRow], list[TaskRead]]:
    """All tasks of the owner, newest first."""
    return Op(owner, _list, (), task_reads)


def get_task(owner: str, task_id: UUID) -> Op[TaskRow, TaskRead]:
    """One task."""
    return Op(owner, _get, (_valid_id(task_id),), task_read)


def update_task(
    owner: str, task_id: UUID, change: TaskUpdate, *, expected: Versions | None = None
) -> Op[TaskRow, TaskRead]:
    """Set the fields that are given; with `expected`, only if the task still has that version."""
    given = {
        "title_given": "title" in change.model_fields_set,
        "new_title": change.title,
        "description_given": "description" in change.model_fields_set,
        "new_description": change.description,
        "completed_given": "completed" in change.model_fields_set,
        "new_completed": change.completed,
    }
    return Op(owner, _write, (_valid_id(task_id), _UPDATE, given, _versions(expected)), task_read)


def toggle_task(
    owner: str, task_id: UUID, *, expected: Versions | None = None
) -> Op[TaskRow, TaskRead]:
    """Complete an open task, reopen a completed one."""
    return Op(owner, _write, (_valid_id(task_id), _TOGGLE, {}, _versions(expected)), task_read)


def set_task_completed(
    owner: str, task_id: UUID, completed: bool, *, expected: Versions | None = None
) -> Op[TaskRow, TaskRead]:
    """Complete or reopen a task, whatever it was."""
    if not isinstance(completed, bool):
        raise InvalidInput("completed must be True or False")
    given = {"new_completed": completed}
    return Op(
        owner, _write, (_valid_id(task_id), _SET_COMPLETED, given, _versions(expected)), task_read
    )


def delete_task(owner: str, task_id: UUID, *, expected: Versions | None = None) -> Op[UUID, UUID]:
    """Delete a task for good; what comes back is its id."""
    return Op(owner, _delete, (_valid_id(task_id), _versions(expected)), _same)


# --- what they do ---------------------------------------------------------------------------------


def _create(owner: str, task_id: UUID, task: TaskCreate) -> Effect[CreatedRow]:
    values = {
        "new_title": task.title,
        "new_description": task.description,
        "new_completed": task.completed,
    }
    # Each turn but the first needs somebody who deletes the task between the two statements.
    while True:
        made = yield from first(_CREATE, owner=owner, task_id=task_id, **values)
        row = made or (yield from first(_REPLAY, owner=owner, task_id=task_id))
        if row is not None:
            return cast(CreatedRow, row)


def _list(owner: str) -> Effect[list[TaskRow]]:
    found = yield from rows(_LIST, owner=owner)
    if not found and (yield from _why_missed(owner, None)) == "unknown_user":
        raise UnknownUser
    return cast("list[TaskRow]", found)


def _get(owner: str, task_id: UUID) -> Effect[TaskRow]:
    row = yield from first(_GET, owner=owner, task_id=task_id)
    return cast(TaskRow, row or (yield from _missed(owner, task_id)))


def _write(
    owner: str,
    task_id: UUID,
    statement: Statement,
    values: dict[str, object],
    expected: list[datetime] | None,
) -> Effect[TaskRow]:
    row = yield from first(statement, owner=owner, task_id=task_id, expected=expected, **values)
    return cast(TaskRow, row or (yield from _missed(owner, task_id, expected)))


def _delete(owner: str, task_id: UUID, expected: list[datetime] | None) -> Effect[UUID]:
    row = yield from first(_DELETE, owner=owner, task_id=task_id, expected=expected)
    return cast(UUID, (row or (yield from _missed(owner, task_id, expected)))[0])


def _why_missed(owner: str, task_id: UUID | None) -> Effect[str]:
    answer = yield from rows(_WHY_MISSED, owner=owner, task_id=task_id)
    return cast(str, answer[0][0])


def _missed(owner: str, task_id: UUID, expected: object = None) -> Effect[Never]:
    """Ask why no row was hit, and raise the answer."""
    reason = yield from _why_missed(owner, task_id)
    if reason == "unknown_user":
        raise UnknownUser
    if reason == "foreign":
        raise NotTaskOwner
    if reason == "own" and expected is not None:
        raise StaleTask
    # "own" without a version to be stale: the task was made again after it was missed.
    raise TaskNotFound


# --- their arguments ------------------------------------------------------------------------------


def _same(value: UUID) -> UUID:
    return value


def _valid_id(task_id: object) -> UUID:
    if not isinstance(task_id, UUID):
        raise InvalidInput("task_id must be a UUID")
    return task_id


def _derived_id(owner: object, key: object) -> UUID:
    return derived_task_id(valid_owner(owner), _valid_key(key))


def _valid_key(key: object) -> str:
    if not isinstance(key, str) or not re.fullmatch(r"[!-~]{1,255}", key):
        raise InvalidInput("key must have 1 to 255 visible ASCII characters")
    return key


def _versions(expected: object) -> list[datetime] | None:
    if expected is None:
        return None
    versions: list[Any] = list(expected) if isinstance(expected, Iterable) else [expected]
    if not all(
        isinstance(version, datetime) and version.utcoffset() is not None for version in versions
    ):
        raise InvalidInput("expected must be the updated_at of a task, with its time zone")
    return versions
