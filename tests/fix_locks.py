"""The first lock taken off, the attempts that the second has then to stop, and who sees a leak.

An attempt is an operation of one user on a task of another. It has leaked when a row of the other
comes back, or when that row is not what it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeAlias, cast
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy import BinaryExpression, bindparam, create_engine
from sqlalchemy.orm import Session
from sqlalchemy.sql.visitors import replacement_traverse

from fix_pooler import TERMS
from taskcore import (
    AsyncDatabase,
    Database,
    NotTaskOwner,
    Op,
    Task,
    TaskCreate,
    TaskCreated,
    TaskUpdate,
    delete_task,
    get_task,
    list_tasks,
    operations,
    run_in,
    set_task_completed,
    toggle_task,
    update_task,
)
from taskcore.effects import Effect, Statement, rows
from taskcore.schemas import CreatedRow, task_created
from taskcore.urls import libpq_conninfo

Run: TypeAlias = Callable[[Op[Any, Any]], Any]
Admin: TypeAlias = psycopg.Connection[Any]

STATEMENTS = {
    name: value for name, value in vars(operations).items() if isinstance(value, Statement)
}
# An INSERT has no predicate, and the function that says why asks the whole table on purpose.
FILTERED = [name for name in STATEMENTS if name not in ("_CREATE", "_WHY_MISSED")]


def unfiltered(statement: Statement) -> Statement:
    """The same statement for whoever's task it is; it takes the same parameters."""
    owned = Task.__table__.c.user_id
    anybody = bindparam("owner", type_=owned.type).is_not(None)

    def replace(element: Any, **_: object) -> Any:
        names_owner = isinstance(element, BinaryExpression) and element.left is owned
        return anybody if names_owner else None

    core = replacement_traverse(cast(Any, statement.core), {}, replace)
    return Statement(core, repeatable=statement.repeatable)


@pytest.fixture
def predicate_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first lock is off: no statement asks for its owner's rows only."""
    assert len(FILTERED) >= 7
    for name in FILTERED:
        before, after = STATEMENTS[name], unfiltered(STATEMENTS[name])
        assert b"tasks.user_id = $" in before.sql
        assert b"tasks.user_id =" not in after.sql
        assert before.parameters == after.parameters
        monkeypatch.setattr(operations, name, after)


def _create_twice(owner: str, task_id: UUID) -> Effect[list[CreatedRow]]:
    """The second time conflicts with the first, and so reads what is there."""
    for _ in range(2):
        yield from operations._create(owner, task_id, TaskCreate(title="own"))
    # It takes the first row that it finds. Where there are two, PostgreSQL doesn't say which.
    found = yield from rows(operations._REPLAY, owner=owner, task_id=task_id)
    return cast("list[CreatedRow]", found)


def _all_created(found: list[CreatedRow]) -> list[TaskCreated]:
    return [task_created(row) for row in found]


ATTEMPTS: dict[str, Callable[[str, UUID], Op[Any, Any]]] = {
    "create": lambda owner, task: Op(owner, _create_twice, (task,), _all_created),
    "list": lambda owner, _: list_tasks(owner),
    "get": get_task,
    "update": lambda owner, task: update_task(owner, task, TaskUpdate(title="taken")),
    "toggle": toggle_task,
    "set": lambda owner, task: set_task_completed(owner, task, True),
    "delete": delete_task,
}


def new_user(admin: Admin) -> str:
    user = f"user_{uuid4().hex}"
    admin.execute("INSERT INTO public.users (id) VALUES (%s)", [user])
    return user


def new_task(admin: Admin, owner: str) -> UUID:
    task = uuid4()
    admin.execute(
        "INSERT INTO public.tasks (user_id, id, title) VALUES (%s, %s, 'secret')", [owner, task]
    )
    return task


def leaks(run: Run, admin: Admin) -> list[str]:
    """The attempts that get through to another user's task."""
    leaked = []
    for name, attempt in ATTEMPTS.items():
        thief, victim = new_user(admin), new_user(admin)
        task = new_task(admin, victim)
        before = _stored(admin, victim)
        assert len(before) == 1
        try:
            result = run(attempt(thief, task))
        except NotTaskOwner:
            result = []
        found = result if isinstance(result, list) else [result]
        owners = {row.user_id for row in found if not isinstance(row, UUID)}
        if owners - {thief} or _stored(admin, victim) != before:
            leaked.append(name)
    return leaked


def _stored(admin: Admin, owner: str) -> list[Any]:
    return admin.execute("SELECT * FROM public.tasks WHERE user_id = %s", [owner]).fetchall()


@contextmanager
def blocking(url: str) -> Iterator[Run]:
    with Database(url, **TERMS) as database:
        yield database.run


@contextmanager
def awaiting(url: str) -> Iterator[Run]:
    database = AsyncDatabase(url, **TERMS)
    with asyncio.Runner() as runner:
        runner.run(database.open())
        try:
            yield lambda op: runner.run(database.run(op))
        finally:
            runner.run(database.close())


@contextmanager
def joining(url: str) -> Iterator[Run]:
    """Each operation in a session of the caller's own."""
    engine = create_engine("postgresql+psycopg://", creator=lambda: _connect(url))

    def run(op: Op[Any, Any]) -> Any:
        with Session(engine) as session, session.begin():
            return run_in(session, op)

    try:
        yield run
    finally:
        engine.dispose()


def _connect(url: str) -> psycopg.Connection[Any]:
    return psycopg.connect(libpq_conninfo(url))


DRIVERS: dict[str, Callable[[str], AbstractContextManager[Run]]] = {
    "blocking": blocking,
    "awaiting": awaiting,
    "joining": joining,
}
