"""`updated_at` is a task's version: every change moves it forward, and a write can expect it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from support.drivers import Run
from taskcore import (
    InvalidInput,
    Op,
    StaleTask,
    TaskCreate,
    TaskUpdate,
    create_task,
    delete_task,
    get_task,
    set_task_completed,
    toggle_task,
    update_task,
)

Write = Callable[[str, UUID, Any], Op[Any]]

CHANGES: dict[str, Write] = {
    "update": lambda owner, task, at: update_task(
        owner, task, TaskUpdate(title="changed"), if_version=at
    ),
    "toggle": lambda owner, task, at: toggle_task(owner, task, if_version=at),
    "set": lambda owner, task, at: set_task_completed(owner, task, True, if_version=at),
}
WRITES: dict[str, Write] = {
    **CHANGES,
    "delete": lambda owner, task, at: delete_task(owner, task, if_version=at),
}


@pytest.mark.parametrize("name", CHANGES)
def test_every_change_moves_the_version_forward(name: str, run: Run, alice: str) -> None:
    task = run(create_task(alice, TaskCreate(title="one")))
    seen = [task.updated_at]
    seen += [run(CHANGES[name](alice, task.id, None)).updated_at for _ in range(3)]
    assert seen == sorted(seen)
    assert len({*seen}) == len(seen)


@pytest.mark.parametrize("name", CHANGES)
def test_a_version_in_the_future_moves_forward_too(
    name: str, run: Run, alice: str, admin: psycopg.Connection
) -> None:
    task = run(create_task(alice, TaskCreate(title="one")))
    admin.execute("UPDATE tasks SET updated_at = now() + interval '1 day' WHERE id = %s", [task.id])
    ahead = run(get_task(alice, task.id)).updated_at
    changed = run(CHANGES[name](alice, task.id, ahead))
    assert changed.updated_at == ahead + timedelta(microseconds=1)


def test_a_read_keeps_the_version(run: Run, alice: str) -> None:
    """Control: only a change moves the version."""
    task = run(create_task(alice, TaskCreate(title="one")))
    assert {run(get_task(alice, task.id)).updated_at for _ in range(2)} == {task.updated_at}


@pytest.mark.parametrize("name", WRITES)
def test_a_write_with_a_stale_version_changes_nothing(name: str, run: Run, alice: str) -> None:
    task = run(create_task(alice, TaskCreate(title="one")))
    current = run(toggle_task(alice, task.id))
    with pytest.raises(StaleTask):
        run(WRITES[name](alice, task.id, task.updated_at))
    assert run(get_task(alice, task.id)) == current, "a refused write has changed the task"
    run(WRITES[name](alice, task.id, current.updated_at))


@pytest.mark.parametrize("name", WRITES)
def test_one_of_several_versions_is_enough(name: str, run: Run, alice: str) -> None:
    task = run(create_task(alice, TaskCreate(title="one")))
    others = [task.updated_at + timedelta(days=n) for n in (-1, 1)]
    with pytest.raises(StaleTask):
        run(WRITES[name](alice, task.id, others))
    run(WRITES[name](alice, task.id, iter([*others, task.updated_at])))


@pytest.mark.parametrize("name", WRITES)
def test_an_empty_list_of_versions_matches_no_task(name: str, run: Run, alice: str) -> None:
    task = run(create_task(alice, TaskCreate(title="one")))
    with pytest.raises(StaleTask):
        run(WRITES[name](alice, task.id, []))
    run(WRITES[name](alice, task.id, [task.updated_at]))


def test_an_operation_keeps_its_own_copy_of_the_versions(run: Run, alice: str) -> None:
    task = run(create_task(alice, TaskCreate(title="one")))
    versions = [task.updated_at]
    toggle = toggle_task(alice, task.id, if_version=versions)
    versions.clear()
    changed = run(toggle)
    with pytest.raises(StaleTask):
        run(toggle)
    assert run(get_task(alice, task.id)) == changed


def test_a_version_may_be_in_any_time_zone(run: Run, alice: str) -> None:
    task = run(create_task(alice, TaskCreate(title="one")))
    in_another_zone = task.updated_at.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert run(toggle_task(alice, task.id, if_version=in_another_zone)).completed


NOW = datetime.now(UTC)


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize(
    "versions",
    [NOW.replace(tzinfo=None), [NOW, NOW.replace(tzinfo=None)], NOW.isoformat(), [None], 1],
    ids=["naive", "one is naive", "text", "none", "number"],
)
def test_an_invalid_version_is_refused_before_anything_is_sent(name: str, versions: object) -> None:
    with pytest.raises(InvalidInput, match="if_version"):
        WRITES[name]("user_1", uuid4(), versions)
    WRITES[name]("user_1", uuid4(), NOW)
    WRITES[name]("user_1", uuid4(), [NOW])
