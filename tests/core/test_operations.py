"""What each operation does, in both drivers and in a session."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import FrozenInstanceError
from typing import Any
from uuid import UUID

import psycopg
import pytest

from support.drivers import Run
from taskcore import (
    AsyncDatabase,
    Database,
    Op,
    TaskCreate,
    TaskNotFound,
    TaskUpdate,
    create_task,
    delete_task,
    get_task,
    list_tasks,
    set_task_completed,
    toggle_task,
    update_task,
)


def test_a_created_task_has_the_given_fields(run: Run, alice: str) -> None:
    task = run(create_task(alice, TaskCreate(title="Buy milk", description="oat", completed=True)))
    assert (task.user_id, task.title, task.description) == (alice, "Buy milk", "oat")
    assert task.completed
    assert task.created_at == task.updated_at
    assert not task.replayed


def test_a_task_is_open_and_has_no_description_by_default(run: Run, alice: str) -> None:
    task = run(create_task(alice, TaskCreate(title="Buy milk")))
    assert (task.description, task.completed) == (None, False)


def test_get_and_list_return_the_created_task(run: Run, alice: str) -> None:
    created = run(create_task(alice, TaskCreate(title="Buy milk", description="oat")))
    got = run(get_task(alice, created.id))
    assert got.model_dump() == created.model_dump()
    assert run(list_tasks(alice)) == [got]


def test_a_list_is_empty_before_the_first_task(run: Run, alice: str) -> None:
    assert run(list_tasks(alice)) == []


def test_a_list_holds_only_the_owners_tasks(run: Run, alice: str, bob: str) -> None:
    hers = run(create_task(alice, TaskCreate(title="hers")))
    his = run(create_task(bob, TaskCreate(title="his")))
    assert [task.id for task in run(list_tasks(alice))] == [hers.id]
    assert [task.id for task in run(list_tasks(bob))] == [his.id]


def test_a_list_is_sorted_newest_first(run: Run, alice: str, admin: psycopg.Connection) -> None:
    ids = [run(create_task(alice, TaskCreate(title=str(n)))).id for n in range(3)]
    assert [task.id for task in run(list_tasks(alice))] == ids[::-1]
    admin.execute("UPDATE tasks SET created_at = now() + interval '1 day' WHERE id = %s", [ids[1]])
    assert [task.id for task in run(list_tasks(alice))] == [ids[1], ids[2], ids[0]]


def test_tasks_of_the_same_time_are_sorted_by_descending_id(
    run: Run, alice: str, admin: psycopg.Connection
) -> None:
    admin.execute(
        "INSERT INTO tasks (user_id, id, title) SELECT %s, id, 'one' FROM unnest(%s::uuid[]) id",
        [alice, [UUID(int=n) for n in (2, 3, 1)]],
    )
    assert [task.id.int for task in run(list_tasks(alice))] == [3, 2, 1]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (TaskUpdate(title="new"), ("new", "old", True)),
        (TaskUpdate(description="new"), ("old", "new", True)),
        (TaskUpdate(description=None), ("old", None, True)),
        (TaskUpdate(completed=False), ("old", "old", False)),
        (TaskUpdate(title="new", description=None, completed=False), ("new", None, False)),
    ],
    ids=["title", "description", "no description", "completed", "all"],
)
def test_an_update_sets_the_given_fields_only(
    change: TaskUpdate, expected: tuple[str, str | None, bool], run: Run, alice: str
) -> None:
    old = TaskCreate(title="old", description="old", completed=True)
    task, unchanged = (run(create_task(alice, old)) for _ in range(2))
    changed = run(update_task(alice, task.id, change))
    assert (changed.title, changed.description, changed.completed) == expected
    assert (changed.id, changed.created_at) == (task.id, task.created_at)
    assert run(get_task(alice, task.id)) == changed
    assert run(get_task(alice, unchanged.id)).model_dump() == unchanged.model_dump()


def test_toggle_completes_and_reopens(run: Run, alice: str) -> None:
    task = run(create_task(alice, TaskCreate(title="one")))
    toggle = toggle_task(alice, task.id)
    assert [run(toggle).completed for _ in range(3)] == [True, False, True]
    assert run(get_task(alice, task.id)).completed


@pytest.mark.parametrize("completed", [True, False])
def test_set_completed_sets_the_given_value(completed: bool, run: Run, alice: str) -> None:
    task = run(create_task(alice, TaskCreate(title="one")))
    for _ in range(2):
        assert run(set_task_completed(alice, task.id, completed)).completed is completed
    assert run(get_task(alice, task.id)).completed is completed


def test_delete_returns_the_id_of_the_deleted_task(run: Run, alice: str) -> None:
    task, unchanged = (run(create_task(alice, TaskCreate(title="one"))) for _ in range(2))
    assert run(delete_task(alice, task.id)) == task.id
    with pytest.raises(TaskNotFound):
        run(get_task(alice, task.id))
    assert [left.id for left in run(list_tasks(alice))] == [unchanged.id]


WRITES: dict[str, Callable[[str, UUID], Op[Any]]] = {
    "update": lambda owner, task: update_task(owner, task, TaskUpdate(title="changed")),
    "toggle": toggle_task,
    "set": lambda owner, task: set_task_completed(owner, task, True),
    "delete": delete_task,
}


@pytest.mark.parametrize("name", WRITES)
def test_a_write_leaves_the_owners_other_tasks(name: str, run: Run, alice: str) -> None:
    for _ in range(3):
        run(create_task(alice, TaskCreate(title="one")))
    before = run(list_tasks(alice))
    task = sorted(before, key=lambda one: one.id)[1]
    run(WRITES[name](alice, task.id))
    after = run(list_tasks(alice))
    assert task not in after
    assert [one for one in after if one.id != task.id] == [one for one in before if one != task]


def test_a_create_that_runs_twice_makes_one_task(run: Run, alice: str) -> None:
    create = create_task(alice, TaskCreate(title="one"))
    made, again = run(create), run(create)
    assert (made.replayed, again.replayed) == (False, True)
    assert made.id == again.id
    assert len(run(list_tasks(alice))) == 1


def test_two_creates_of_one_body_make_two_tasks(run: Run, alice: str) -> None:
    """Control: a repetition has the same id; the same body alone is no repetition."""
    body = TaskCreate(title="one")
    made, other = run(create_task(alice, body)), run(create_task(alice, body))
    assert (made.replayed, other.replayed) == (False, False)
    assert len(run(list_tasks(alice))) == 2


async def test_one_operation_runs_in_both_drivers(
    db: Database, adb: AsyncDatabase, alice: str
) -> None:
    create = create_task(alice, TaskCreate(title="one"))
    made = db.run(create)
    again = await adb.run(create)
    assert (made.id, again.replayed) == (again.id, True)
    toggle = toggle_task(alice, made.id)
    assert [db.run(toggle).completed, (await adb.run(toggle)).completed] == [True, False]
    mine = list_tasks(alice)
    assert db.run(mine) == await adb.run(mine)


def test_an_operation_does_not_change_once_it_is_made(alice: str) -> None:
    op = list_tasks(alice)
    with pytest.raises(FrozenInstanceError):
        op.owner = "another"  # type: ignore[misc]
    assert op.owner == alice
