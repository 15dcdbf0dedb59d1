"""What a user can do with tasks: each operation written once, for every way of running it.

The owner comes first in every operation and stands in the WHERE of every statement. That is the
first of the two locks; the second, row-level security, is bound by the code that runs the
operation. An operation's body reads neither the time nor randomness, so it can be run again: a new
id is made when the operation is made.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple, Never, TypeAlias, TypeVar
from uuid import UUID

from sqlalchemy import (
    Boolean,
    ColumnElement,
    DateTime,
    Interval,
    String,
    Text,
    Uuid,
    any_,
    bindparam,
    case,
    cast,
    delete,
    func,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert

from taskcore.errors import InvalidInput, NotTaskOwner, StaleTask, TaskNotFound, UnknownUser
from taskcore.execution.op import Op, Statement, Steps, first, rows
from taskcore.models import SCHEMA, Task
from taskcore.owner import valid_owner

from .fields import (
    TASK_COLUMNS,
    TaskCreate,
    TaskCreated,
    TaskRead,
    TaskRow,
    TaskUpdate,
    read_task,
    read_tasks,
)
from .ids import derived_task_id, new_task_id, valid_idempotency_key

Model = TypeVar("Model", TaskCreate, TaskUpdate)

Versions: TypeAlias = datetime | Iterable[datetime]
"""A value of `updated_at`, or several of which one must match."""


class CreatedRow(NamedTuple):
    """The row that a create gave; `replayed` if an earlier run of it had made the task."""

    task: TaskRow
    replayed: bool


# --- the statements -------------------------------------------------------------------------------

_tasks = Task.__table__
_COLUMNS = tuple(_tasks.c[name] for name in TASK_COLUMNS)
_OWNER = bindparam("owner", type_=Text())
_ID = bindparam("task_id", type_=Uuid())
_VERSIONS = bindparam("versions", type_=ARRAY(DateTime(timezone=True)))
_VERSION_MATCHES = or_(_VERSIONS.is_(None), _tasks.c.updated_at == any_(_VERSIONS))
_UTC = literal_column("'UTC'", Text)
# The version moves strictly forward, even when the clock is set back. A cluster of servers updates
# rows only by functions that are immutable. To add an interval to a time with a time zone is not,
# because a day may have 23 hours there; so the microsecond is added in UTC.
_NEXT_VERSION = func.greatest(
    func.now(),
    func.timezone(
        _UTC,
        func.timezone(_UTC, _tasks.c.updated_at)
        + literal_column("interval '1 microsecond'", Interval),
    ),
)


def _new(name: str) -> ColumnElement[Any]:
    """The parameter for a column's new value."""
    column = _tasks.c[name]
    # As text: a VARCHAR(500) parameter would be cut to 500 characters instead of refused.
    is_text = isinstance(column.type, String)
    return bindparam(f"new_{name}", type_=Text() if is_text else column.type)


def _new_if_given(name: str) -> ColumnElement[Any]:
    """A column's new value where one is given, and its old one otherwise."""
    given = bindparam(f"{name}_given", type_=Boolean())
    return case((given, _new(name)), else_=_tasks.c[name])


_CREATE = Statement(
    insert(_tasks)
    .values(user_id=_OWNER, id=_ID, **{name: _new(name) for name in TaskCreate.model_fields})
    .on_conflict_do_nothing(index_elements=[_tasks.c.user_id, _tasks.c.id])
    .returning(*_COLUMNS),
    repeatable=True,  # the id came with it, so a second run conflicts with the first
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
    .where(_tasks.c.user_id == _OWNER, _tasks.c.id == _ID, _VERSION_MATCHES)
    .values({name: _new_if_given(name) for name in TaskUpdate.model_fields})
    .values(updated_at=_NEXT_VERSION)
    .returning(*_COLUMNS),
)
_TOGGLE = Statement(
    update(_tasks)
    .where(_tasks.c.user_id == _OWNER, _tasks.c.id == _ID, _VERSION_MATCHES)
    .values(completed=~_tasks.c.completed, updated_at=_NEXT_VERSION)
    .returning(*_COLUMNS),
)
_SET_COMPLETED = Statement(
    update(_tasks)
    .where(_tasks.c.user_id == _OWNER, _tasks.c.id == _ID, _VERSION_MATCHES)
    .values(completed=_new("completed"), updated_at=_NEXT_VERSION)
    .returning(*_COLUMNS),
)
_DELETE = Statement(
    delete(_tasks)
    .where(_tasks.c.user_id == _OWNER, _tasks.c.id == _ID, _VERSION_MATCHES)
    .returning(_tasks.c.id, _tasks.c.user_id),
)
_REASON = Statement(
    # The owner goes as varchar, and another login's function of that type would fit better.
    select(getattr(func, SCHEMA).taskcore_why_missed(cast(_OWNER, Text), _ID)),
)

# --- the operations -------------------------------------------------------------------------------


def create_task(
    owner: str, task: TaskCreate, *, idempotency_key: str | None = None
) -> Op[TaskCreated]:
    """Make a task. With an idempotency key it is the same task however often it is run."""
    task_id = new_task_id() if idempotency_key is None else _derived_id(owner, idempotency_key)
    new = {f"new_{name}": value for name, value in _checked(task, TaskCreate)}
    return Op(owner, _create_task, (task_id, new), _read_created)


def list_tasks(owner: str) -> Op[list[TaskRead]]:
    """Read all tasks of the owner, newest first."""
    return Op(owner, _list_tasks, (), read_tasks)


# With `hide_foreign`, a task of another user does not exist: the operation raises TaskNotFound, and
# looks up no id without its owner. In a cluster that question goes to every shard.


def get_task(owner: str, task_id: UUID, *, hide_foreign: bool = False) -> Op[TaskRead]:
    """Read one task."""
    return Op(owner, _get_task, (_valid_id(task_id), hide_foreign), read_task)


def update_task(
    owner: str,
    task_id: UUID,
    change: TaskUpdate,
    *,
    if_version: Versions | None = None,
    hide_foreign: bool = False,
) -> Op[TaskRead]:
    """Set the fields that are given; with `if_version`, only if the task has that version."""
    values: dict[str, object] = {}
    for name, value in _checked(change, TaskUpdate):
        values |= {f"{name}_given": name in change.model_fields_set, f"new_{name}": value}
    arguments = (_valid_id(task_id), hide_foreign, values, _versions(if_version))
    return Op(owner, _update_task, arguments, read_task)


def toggle_task(
    owner: str, task_id: UUID, *, if_version: Versions | None = None, hide_foreign: bool = False
) -> Op[TaskRead]:
    """Complete an open task, reopen a completed one."""
    arguments = (_valid_id(task_id), hide_foreign, _versions(if_version))
    return Op(owner, _toggle_task, arguments, read_task)


def set_task_completed(
    owner: str,
    task_id: UUID,
    completed: bool,
    *,
    if_version: Versions | None = None,
    hide_foreign: bool = False,
) -> Op[TaskRead]:
    """Complete or reopen a task, whichever it was before."""
    if not isinstance(completed, bool):
        raise InvalidInput("completed must be True or False")
    arguments = (_valid_id(task_id), hide_foreign, completed, _versions(if_version))
    return Op(owner, _set_task_completed, arguments, read_task)


def delete_task(
    owner: str, task_id: UUID, *, if_version: Versions | None = None, hide_foreign: bool = False
) -> Op[UUID]:
    """Delete a task for good; the result is its id."""
    return Op(
        owner, _delete_task, (_valid_id(task_id), hide_foreign, _versions(if_version)), _read_id
    )


# --- their steps ----------------------------------------------------------------------------------


def _create_task(owner: str, task_id: UUID, new: dict[str, object]) -> Steps[CreatedRow]:
    # A second turn is needed only if the task is deleted between the two statements.
    while True:
        made = yield from first(_CREATE, owner=owner, task_id=task_id, **new)
        if made is not None:
            return CreatedRow(made, replayed=False)
        found = yield from first(_GET, owner=owner, task_id=task_id)
        if found is not None:
            return CreatedRow(found, replayed=True)


def _list_tasks(owner: str) -> Steps[list[TaskRow]]:
    found = yield from rows(_LIST, owner=owner)
    if not found and (yield from _reason(owner, None)) == "unknown_user":
        raise UnknownUser
    return found


def _get_task(owner: str, task_id: UUID, hide_foreign: bool) -> Steps[TaskRow]:
    row = yield from first(_GET, owner=owner, task_id=task_id)
    return row or (yield from _refuse(owner, task_id, hide_foreign))


def _update_task(
    owner: str,
    task_id: UUID,
    hide_foreign: bool,
    values: dict[str, object],
    versions: list[datetime] | None,
) -> Steps[TaskRow]:
    row = yield from first(_UPDATE, owner=owner, task_id=task_id, versions=versions, **values)
    return row or (yield from _refuse(owner, task_id, hide_foreign, versions))


def _toggle_task(
    owner: str, task_id: UUID, hide_foreign: bool, versions: list[datetime] | None
) -> Steps[TaskRow]:
    row = yield from first(_TOGGLE, owner=owner, task_id=task_id, versions=versions)
    return row or (yield from _refuse(owner, task_id, hide_foreign, versions))


def _set_task_completed(
    owner: str,
    task_id: UUID,
    hide_foreign: bool,
    completed: bool,
    versions: list[datetime] | None,
) -> Steps[TaskRow]:
    row = yield from first(
        _SET_COMPLETED, owner=owner, task_id=task_id, versions=versions, new_completed=completed
    )
    return row or (yield from _refuse(owner, task_id, hide_foreign, versions))


def _delete_task(
    owner: str, task_id: UUID, hide_foreign: bool, versions: list[datetime] | None
) -> Steps[TaskRow]:
    row = yield from first(_DELETE, owner=owner, task_id=task_id, versions=versions)
    return row or (yield from _refuse(owner, task_id, hide_foreign, versions))


def _reason(owner: str, task_id: UUID | None) -> Steps[str]:
    reason: str
    ((reason,),) = yield from rows(_REASON, owner=owner, task_id=task_id)
    return reason


def _refuse(owner: str, task_id: UUID, hide_foreign: bool, versions: object = None) -> Steps[Never]:
    """Ask why no row was found, and raise the answer."""
    if hide_foreign:
        found = versions is not None and (yield from first(_GET, owner=owner, task_id=task_id))
        # Without an id the function says only whether the user exists.
        reason = "own" if found else (yield from _reason(owner, None))
    else:
        reason = yield from _reason(owner, task_id)
    if reason == "unknown_user":
        raise UnknownUser
    if reason == "foreign":
        raise NotTaskOwner
    if reason == "own" and versions is not None:
        raise StaleTask
    # "own" without a version to compare: the task was made again after the first statement.
    raise TaskNotFound


# --- their arguments and results ------------------------------------------------------------------


def _checked(model: object, expected: type[Model]) -> Model:
    if not isinstance(model, expected):
        raise InvalidInput(f"give a {expected.__name__}, not a {type(model).__name__}")
    return model


def _valid_id(task_id: object) -> UUID:
    if not isinstance(task_id, UUID):
        raise InvalidInput("task_id must be a UUID")
    return task_id


def _derived_id(owner: object, idempotency_key: object) -> UUID:
    return derived_task_id(valid_owner(owner), valid_idempotency_key(idempotency_key))


def _versions(if_version: object) -> list[datetime] | None:
    if if_version is None:
        return None
    versions: list[Any] = list(if_version) if isinstance(if_version, Iterable) else [if_version]
    if not all(
        isinstance(version, datetime) and version.utcoffset() is not None for version in versions
    ):
        raise InvalidInput("if_version must be the updated_at of a task, with its time zone")
    return versions


def _read_created(created: CreatedRow) -> TaskCreated:
    fields = dict(zip(TASK_COLUMNS, created.task, strict=True))
    return TaskCreated.model_validate({**fields, "replayed": created.replayed})


def _read_id(row: TaskRow) -> UUID:
    task_id: UUID = row[_DELETE.columns.index("id")]
    return task_id
