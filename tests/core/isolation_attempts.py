"""Attempts of one user on another user's task, and the search for an attempt that leaks.

An attempt is an operation of one user on a task of another. It leaks if a row of the other user
comes back, or if that row has changed.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TypeAlias
from uuid import UUID, uuid4

import psycopg

from support.drivers import awaiting, blocking, in_session
from support.pgbouncer import DATABASE_OPTIONS
from taskcore import (
    NotTaskOwner,
    Op,
    TaskCreate,
    TaskUpdate,
    delete_task,
    get_task,
    list_tasks,
    set_task_completed,
    toggle_task,
    update_task,
)
from taskcore.execution.op import Steps, rows
from taskcore.tasks import operations
from taskcore.tasks.fields import TaskRow, read_tasks

Run: TypeAlias = Callable[[Op[Any]], Any]
Admin: TypeAlias = psycopg.Connection[Any]


def new_values(task: TaskCreate) -> dict[str, object]:
    """Return the fields of a new task as the parameters of the statement that creates it."""
    return {f"new_{name}": value for name, value in task}


def _create_twice(owner: str, task_id: UUID) -> Steps[list[TaskRow]]:
    """Create a task twice: the second create conflicts, and so it reads the existing row."""
    for _ in range(2):
        yield from operations._create_task(owner, task_id, new_values(TaskCreate(title="own")))
    # A create takes the first row that it finds, in no defined order; _GET returns all of them.
    return (yield from rows(operations._GET, owner=owner, task_id=task_id))


ATTEMPTS: dict[str, Callable[[str, UUID], Op[Any]]] = {
    "create": lambda owner, task: Op(owner, _create_twice, (task,), read_tasks),
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
    """The names of the attempts that leak."""
    leaked = []
    for name, attempt in ATTEMPTS.items():
        attacker, victim = new_user(admin), new_user(admin)
        task = new_task(admin, victim)
        before = _stored(admin, victim)
        assert len(before) == 1
        try:
            result = run(attempt(attacker, task))
        except NotTaskOwner:
            result = []
        found = result if isinstance(result, list) else [result]
        owners = {row.user_id for row in found if not isinstance(row, UUID)}
        if owners - {attacker} or _stored(admin, victim) != before:
            leaked.append(name)
    return leaked


def _stored(admin: Admin, owner: str) -> list[Any]:
    return admin.execute("SELECT * FROM public.tasks WHERE user_id = %s", [owner]).fetchall()


DRIVERS: dict[str, Callable[[str], AbstractContextManager[Run]]] = {
    "blocking": lambda url: blocking(url, **DATABASE_OPTIONS),
    "awaiting": lambda url: awaiting(url, **DATABASE_OPTIONS),
    "joining": in_session,
}
