"""A Python program's use of the six endpoints, over the package that openapi-python-client makes.

Usage: python src/python_client.py BASE_URL TOKEN, with build/python on the PYTHONPATH. It prints
nothing, or the failed assertion. Its test checks it and the package with mypy in strict mode.
"""

from __future__ import annotations

import sys
import uuid
from typing import assert_never

from taskapi_client import AuthenticatedClient
from taskapi_client.api.tasks import (
    complete_task,
    create_task,
    delete_task,
    get_task,
    list_tasks,
    update_task,
)
from taskapi_client.models.problem import Problem
from taskapi_client.models.problem_code import ProblemCode
from taskapi_client.models.task import Task
from taskapi_client.models.task_completion import TaskCompletion
from taskapi_client.models.task_create import TaskCreate
from taskapi_client.models.task_update import TaskUpdate
from taskapi_client.types import Unset

_, BASE_URL, TOKEN = sys.argv


def what_to_do(problem: Problem) -> str:
    """A match over the code is exhaustive without a default, because the type names every code."""
    match problem.code:
        case (
            ProblemCode.TOKEN_MISSING
            | ProblemCode.TOKEN_MALFORMED
            | ProblemCode.TOKEN_INVALID
            | ProblemCode.TOKEN_EXPIRED
            | ProblemCode.TOKEN_NOT_YET_VALID
            | ProblemCode.USER_UNKNOWN
        ):
            return "sign in"
        case ProblemCode.STALE_VERSION | ProblemCode.TASK_NOT_FOUND | ProblemCode.NOT_TASK_OWNER:
            return "reload"
        case ProblemCode.VALIDATION_FAILED | ProblemCode.BODY_TOO_LARGE:
            return "show"
        case (
            ProblemCode.DATABASE_UNAVAILABLE
            | ProblemCode.KEYS_UNAVAILABLE
            | ProblemCode.NOT_READY
            | ProblemCode.OUTCOME_UNKNOWN
            | ProblemCode.REQUEST_TIMEOUT
        ):
            return "retry"
        case (
            ProblemCode.ROUTE_NOT_FOUND
            | ProblemCode.METHOD_NOT_ALLOWED
            | ProblemCode.INVALID_JSON
            | ProblemCode.UNSUPPORTED_MEDIA_TYPE
            | ProblemCode.MALFORMED_REQUEST
            | ProblemCode.HEADERS_TOO_LARGE
            | ProblemCode.INTERNAL_ERROR
        ):
            return "report"
    assert_never(problem.code)


def use(client: AuthenticatedClient) -> None:
    # Create a task; a second create with the same key returns the same task.
    key = str(uuid.uuid4())
    new = TaskCreate(title="Buy milk")
    made = create_task.sync_detailed(client=client, body=new, idempotency_key=key)
    again = create_task.sync_detailed(client=client, body=new, idempotency_key=key)
    task = made.parsed
    assert isinstance(task, Task), task
    assert again.parsed == task
    assert "Idempotency-Replayed" not in made.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert (task.title, task.description, task.completed) == ("Buy milk", None, False)

    # List and read it; with a known ETag it is not sent again.
    assert list_tasks.sync(client=client) == [task]
    read = get_task.sync_detailed(task.id, client=client)
    assert read.parsed == task
    etag = read.headers["ETag"]
    known = get_task.sync_detailed(task.id, client=client, if_none_match=etag)
    assert (known.status_code, known.parsed) == (304, None)

    # Change it if it is unchanged since it was read; the second time it is not.
    body = TaskUpdate(description="Two litres, oat")
    changed = update_task.sync(task.id, client=client, body=body, if_match=etag)
    assert isinstance(changed, Task), changed
    assert (changed.title, changed.description) == ("Buy milk", "Two litres, oat")
    assert changed.updated_at > task.updated_at
    stale = update_task.sync(task.id, client=client, body=body, if_match=etag)
    assert isinstance(stale, Problem), stale
    assert stale.code is ProblemCode.STALE_VERSION
    assert what_to_do(stale) == "reload"

    # Complete it: without a body it is toggled, with one it is set.
    toggled = complete_task.sync(task.id, client=client)
    assert isinstance(toggled, Task) and toggled.completed
    for completed in (True, False):
        body_of_set = TaskCompletion(completed=completed)
        completion = complete_task.sync(task.id, client=client, body=body_of_set)
        assert isinstance(completion, Task) and completion.completed is completed

    # Errors name the wrong field, or what to do.
    blank = create_task.sync(client=client, body=TaskCreate(title=" "))
    assert isinstance(blank, Problem), blank
    assert not isinstance(blank.errors, Unset)
    assert [fault.field for fault in blank.errors] == ["title"]
    refused = list_tasks.sync(client=AuthenticatedClient(BASE_URL, token="none"))
    assert isinstance(refused, Problem) and what_to_do(refused) == "sign in"

    # Delete it; then it is gone.
    deleted = delete_task.sync_detailed(task.id, client=client)
    assert deleted.status_code == 204
    gone = get_task.sync(task.id, client=client)
    assert isinstance(gone, Problem)
    assert gone.code is ProblemCode.TASK_NOT_FOUND
    assert list_tasks.sync(client=client) == []


def refused_by_the_type_checker(client: AuthenticatedClient, problem: Problem) -> None:
    """mypy fails if one of these becomes allowed: an ignore without need is an error."""
    TaskCreate()  # type: ignore[call-arg]  # a task needs a title
    TaskUpdate(title=1)  # type: ignore[arg-type]  # a title is text
    delete_task.sync(client=client)  # type: ignore[call-arg]  # a task is named by its id
    problem.code = "no_such_code"  # type: ignore[assignment]


with AuthenticatedClient(BASE_URL, token=TOKEN, raise_on_unexpected_status=True) as used:
    use(used)
