"""With `hide_foreign`, another user's task does not exist, and no id is looked up by itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeAlias
from uuid import UUID, uuid4

import pytest

from support.drivers import Driver
from support.sql import run_sql
from taskcore import (
    NotTaskOwner,
    Op,
    StaleTask,
    TaskCreate,
    TaskNotFound,
    TaskUpdate,
    UnknownUser,
    create_task,
    delete_task,
    get_task,
    set_task_completed,
    toggle_task,
    update_task,
)

Ask: TypeAlias = Callable[..., Op[Any]]
CHANGE = TaskUpdate(title="changed")
OPERATIONS: dict[str, Ask] = {
    "get": get_task,
    "update": lambda owner, task, **more: update_task(owner, task, CHANGE, **more),
    "toggle": toggle_task,
    "set": lambda owner, task, **more: set_task_completed(owner, task, True, **more),
    "delete": delete_task,
}
OLD = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def no_id_url(own_url: str) -> str:
    """A database with alice and bob, in which the question for an id without its owner fails."""
    run_sql(
        own_url,
        "INSERT INTO users (id) VALUES ('alice'), ('bob')",
        "ALTER FUNCTION taskcore_why_missed RENAME TO taskcore_reason",
        """
        CREATE FUNCTION taskcore_why_missed(owner text, task uuid) RETURNS text LANGUAGE plpgsql
        SECURITY DEFINER AS $$
        BEGIN
            IF task IS NOT NULL THEN RAISE EXCEPTION 'an id is looked up'; END IF;
            RETURN public.taskcore_reason(owner, NULL);
        END $$
        """,
    )
    return own_url


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_hidden_task_does_not_exist_and_is_not_looked_up(
    no_id_url: str, driver: Driver, name: str
) -> None:
    ask = OPERATIONS[name]
    with driver(no_id_url, max_size=1) as run:
        task = run(create_task("alice", TaskCreate(title="hers")))
        for missing in (task.id, uuid4()):
            with pytest.raises(TaskNotFound):
                run(ask("bob", missing, hide_foreign=True))
        with pytest.raises(UnknownUser):
            run(ask("nobody", task.id, hide_foreign=True))
        run(ask("alice", task.id, hide_foreign=True))


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name != "get"])
def test_a_version_is_compared_with_the_owners_tasks_only(
    no_id_url: str, driver: Driver, name: str
) -> None:
    ask = OPERATIONS[name]
    with driver(no_id_url, max_size=1) as run:
        task = run(create_task("alice", TaskCreate(title="hers")))
        with pytest.raises(StaleTask):
            run(ask("alice", task.id, if_version=OLD, hide_foreign=True))
        with pytest.raises(TaskNotFound):
            run(ask("bob", task.id, if_version=OLD, hide_foreign=True))


@pytest.mark.parametrize("name", OPERATIONS)
def test_without_it_another_users_task_is_told_apart(
    url: str, driver: Driver, alice: str, bob: str, name: str
) -> None:
    """The control."""
    ask: Callable[[str, UUID], Op[Any]] = OPERATIONS[name]
    with driver(url, max_size=1) as run:
        task = run(create_task(alice, TaskCreate(title="hers")))
        with pytest.raises(NotTaskOwner):
            run(ask(bob, task.id))
        with pytest.raises(TaskNotFound):
            run(ask(bob, uuid4()))
