"""The six endpoints: each one operation of the library's, run for the user of the token."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI
from starlette.responses import Response

import taskcore
from taskcore import TaskRead

from . import answers
from .inputs import (
    Change,
    Completed,
    Db,
    IdempotencyKey,
    IfMatch,
    IfNoneMatch,
    NewTask,
    Owner,
    TaskId,
)
from .judgement import TaskRoute

PATH = "/api/tasks"


async def list_tasks(db: Db, owner: Owner, known: IfNoneMatch = None) -> Response:
    """All tasks of the user, newest first."""
    return answers.ok(await db.run(taskcore.list_tasks(owner).shaped(answers.tasks)), known)


async def create_task(db: Db, owner: Owner, task: NewTask, key: IdempotencyKey = None) -> Response:
    """Make a task."""
    new = await db.run(taskcore.create_task(owner, task, key=key).shaped(answers.created))
    return answers.made(new, PATH, keyed=key is not None)


async def get_task(db: Db, owner: Owner, id: TaskId, known: IfNoneMatch = None) -> Response:
    """One task."""
    return answers.ok(await db.run(taskcore.get_task(owner, id).shaped(answers.task)), known)


async def update_task(
    db: Db, owner: Owner, id: TaskId, change: Change, expected: IfMatch = None
) -> Response:
    """Change the fields that are given."""
    op = taskcore.update_task(owner, id, change, expected=expected)
    return answers.ok(await db.run(op.shaped(answers.task)))


async def delete_task(db: Db, owner: Owner, id: TaskId, expected: IfMatch = None) -> Response:
    """Delete a task for good."""
    await db.run(taskcore.delete_task(owner, id, expected=expected))
    return answers.gone()


async def complete_task(
    db: Db, owner: Owner, id: TaskId, completed: Completed = None, expected: IfMatch = None
) -> Response:
    """Toggle whether a task is completed, or set it."""
    if completed is None:
        op = taskcore.toggle_task(owner, id, expected=expected)
    else:
        op = taskcore.set_task_completed(owner, id, completed, expected=expected)
    return answers.ok(await db.run(op.shaped(answers.task)))


def install(app: FastAPI) -> None:
    """Put the endpoints where the contract has them."""
    one = f"{PATH}/{{id}}"
    _add(app, "GET", one, get_task, TaskRead)
    _add(app, "GET", PATH, list_tasks, list[TaskRead])
    _add(app, "POST", PATH, create_task, TaskRead, 201)
    _add(app, "PATCH", f"{one}/complete", complete_task, TaskRead)
    _add(app, "PUT", one, update_task, TaskRead)
    _add(app, "DELETE", one, delete_task, None, 204)
    _add(app, "HEAD", PATH, list_tasks)
    _add(app, "HEAD", one, get_task)


def _add(
    app: FastAPI,
    method: str,
    path: str,
    endpoint: Callable[..., Awaitable[Response]],
    answer: Any = None,
    status: int = 200,
) -> None:
    app.router.add_api_route(
        path,
        endpoint,
        methods=[method],
        response_model=answer,
        status_code=status,
        operation_id=endpoint.__name__,
        tags=["tasks"],
        include_in_schema=method != "HEAD",
        route_class_override=TaskRoute,
    )
