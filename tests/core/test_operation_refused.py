"""An operation that finds no row raises the reason."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from support.drivers import Run
from taskcore import (
    InvalidInput,
    NotTaskOwner,
    Op,
    StaleTask,
    TaskCreate,
    TaskNotFound,
    TaskRead,
    TaskUpdate,
    UnknownUser,
    create_task,
    delete_task,
    get_task,
    list_tasks,
    set_task_completed,
    toggle_task,
    update_task,
)

OLD = datetime(2020, 1, 1, tzinfo=UTC)

Make = Callable[[str, UUID], Op[Any]]
ON_A_TASK: dict[str, Make] = {
    "get": get_task,
    "update": lambda owner, task: update_task(owner, task, TaskUpdate(title="changed")),
    "toggle": toggle_task,
    "set": lambda owner, task: set_task_completed(owner, task, True),
    "delete": delete_task,
}
EXPECTING: dict[str, Make] = {
    "update": lambda owner, task: update_task(owner, task, TaskUpdate(title="x"), if_version=OLD),
    "toggle": lambda owner, task: toggle_task(owner, task, if_version=OLD),
    "set": lambda owner, task: set_task_completed(owner, task, True, if_version=OLD),
    "delete": lambda owner, task: delete_task(owner, task, if_version=OLD),
}
ALL: dict[str, Make] = {
    "create": lambda owner, _: create_task(owner, TaskCreate(title="new")),
    "create with a key": lambda owner, _: create_task(
        owner, TaskCreate(title="new"), idempotency_key="k"
    ),
    "list": lambda owner, _: list_tasks(owner),
    **ON_A_TASK,
}
# A write checks the reasons in the same order whether or not it expects a version.
BOTH = {**ON_A_TASK, **{f"{name} expecting": make for name, make in EXPECTING.items()}}


@pytest.fixture
def task(run: Run, alice: str) -> TaskRead:
    return run(create_task(alice, TaskCreate(title="hers")))


@pytest.mark.parametrize("name", ALL)
def test_an_unknown_owner_raises_unknown_user(name: str, run: Run, task: TaskRead) -> None:
    with pytest.raises(UnknownUser):
        run(ALL[name](f"unknown_{uuid4().hex}", task.id))
    run(ALL[name](task.user_id, task.id))


@pytest.mark.parametrize("name", BOTH)
def test_a_task_of_another_owner_raises_not_task_owner(
    name: str, run: Run, task: TaskRead, bob: str
) -> None:
    with pytest.raises(NotTaskOwner):
        run(BOTH[name](bob, task.id))
    (kept,) = run(list_tasks(task.user_id))
    assert kept.model_dump() == task.model_dump()
    assert run(list_tasks(bob)) == []
    run(ON_A_TASK[name.removesuffix(" expecting")](task.user_id, task.id))


@pytest.mark.parametrize("name", BOTH)
def test_an_unknown_task_id_raises_task_not_found(name: str, run: Run, task: TaskRead) -> None:
    with pytest.raises(TaskNotFound):
        run(BOTH[name](task.user_id, uuid4()))
    run(ON_A_TASK[name.removesuffix(" expecting")](task.user_id, task.id))


@pytest.mark.parametrize("name", BOTH)
def test_a_deleted_task_raises_task_not_found(name: str, run: Run, task: TaskRead) -> None:
    run(delete_task(task.user_id, task.id))
    with pytest.raises(TaskNotFound):
        run(BOTH[name](task.user_id, task.id))


@pytest.mark.parametrize("name", EXPECTING)
def test_a_stale_version_raises_stale_task(name: str, run: Run, task: TaskRead) -> None:
    with pytest.raises(StaleTask):
        run(EXPECTING[name](task.user_id, task.id))
    run(ON_A_TASK[name](task.user_id, task.id))


@pytest.mark.parametrize("name", EXPECTING)
def test_an_unknown_owner_with_a_version_raises_unknown_user(
    name: str, run: Run, task: TaskRead
) -> None:
    with pytest.raises(UnknownUser):
        run(EXPECTING[name](f"unknown_{uuid4().hex}", task.id))


@pytest.mark.parametrize("name", ON_A_TASK)
@pytest.mark.parametrize("task_id", [str(UUID(int=1)), 1, None])
def test_an_invalid_task_id_is_refused_before_anything_is_sent(name: str, task_id: Any) -> None:
    with pytest.raises(InvalidInput, match="task_id"):
        ON_A_TASK[name]("user_1", task_id)
    ON_A_TASK[name]("user_1", UUID(int=1))


@pytest.mark.parametrize("completed", [1, "yes", None])
def test_an_invalid_completed_is_refused_before_anything_is_sent(completed: Any) -> None:
    with pytest.raises(InvalidInput, match="completed"):
        set_task_completed("user_1", UUID(int=1), completed)
    set_task_completed("user_1", UUID(int=1), True)
