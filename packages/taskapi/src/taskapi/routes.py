"""The six endpoints: each runs one operation of taskcore for the user of the token."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI
from starlette.responses import Response

import taskcore
from taskcore import TaskRead

from . import lists, responses
from .inputs import Completed, IdempotencyKey, IfMatch, IfNoneMatch, NewTask, TaskChange, TaskId
from .task_request import TaskRequest
from .task_route import TaskRoute

PATH = "/api/tasks"


async def list_tasks(request: TaskRequest, if_none_match: IfNoneMatch = None) -> Response:
    """All tasks of the user, newest first."""
    return await lists.answer(request, if_none_match)


async def create_task(
    request: TaskRequest, task: NewTask, idempotency_key: IdempotencyKey = None
) -> Response:
    """Make a task."""
    op = taskcore.create_task(request.user, task, idempotency_key=idempotency_key)
    created = await request.database.run(op.with_result(responses.created))
    return responses.made(created, PATH, keyed=idempotency_key is not None)


async def get_task(request: TaskRequest, id: TaskId, if_none_match: IfNoneMatch = None) -> Response:
    """One task."""
    op = taskcore.get_task(request.user, id, hide_foreign=request.hide_foreign)
    found = await request.database.run(op.with_result(responses.task))
    return responses.ok(found, if_none_match)


async def update_task(
    request: TaskRequest, id: TaskId, change: TaskChange, if_match: IfMatch = None
) -> Response:
    """Change the fields that are given."""
    op = taskcore.update_task(
        request.user, id, change, if_version=if_match, hide_foreign=request.hide_foreign
    )
    return responses.ok(await request.database.run(op.with_result(responses.task)))


async def delete_task(request: TaskRequest, id: TaskId, if_match: IfMatch = None) -> Response:
    """Delete a task for good."""
    hide = request.hide_foreign
    op = taskcore.delete_task(request.user, id, if_version=if_match, hide_foreign=hide)
    await request.database.run(op)
    return responses.deleted()


async def complete_task(
    request: TaskRequest, id: TaskId, completed: Completed = None, if_match: IfMatch = None
) -> Response:
    """Toggle whether a task is completed, or set it."""
    user, hide = request.user, request.hide_foreign
    if completed is None:
        op = taskcore.toggle_task(user, id, if_version=if_match, hide_foreign=hide)
    else:
        op = taskcore.set_task_completed(
            user, id, completed, if_version=if_match, hide_foreign=hide
        )
    return responses.ok(await request.database.run(op.with_result(responses.task)))


def install(app: FastAPI) -> None:
    """Add the endpoints to the application."""
    one = f"{PATH}/{{id}}"
    # Routes are tried in this order: the most frequent first.
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
    model: Any = None,
    status: int = 200,
) -> None:
    app.router.add_api_route(
        path,
        endpoint,
        methods=[method],
        response_model=model,
        status_code=status,
        operation_id=endpoint.__name__,
        tags=["tasks"],
        include_in_schema=method != "HEAD",
        route_class_override=TaskRoute,
    )
