"""Both locks hold inside a session, also if its login sees every row outside of operations."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from taskcore import (
    NotTaskOwner,
    Op,
    Task,
    TaskCreate,
    create_task,
    delete_task,
    get_task,
    list_tasks,
    run_in,
    toggle_task,
)
from taskcore.execution.op import Row, Statement, Steps, rows

BODY = TaskCreate(title="one")
EVERY_TASK = select(Task.__table__.c.user_id)
EVERY_TITLE = text("UPDATE public.tasks SET title = 'taken' RETURNING user_id")


def everything(owner: str) -> Steps[list[Row]]:
    return (yield from rows(Statement(EVERY_TASK)))


def change_everything(owner: str) -> Steps[list[Row]]:
    return (yield from rows(Statement(EVERY_TITLE)))


def users(found: list[Row]) -> set[str]:
    return {row[0] for row in found}


@pytest.mark.parametrize("operation", [get_task, toggle_task, delete_task])
def test_a_task_of_another_owner_is_refused(
    operation: Any, session: Session, alice: str, bob: str
) -> None:
    task = run_in(session, create_task(alice, BODY))
    with pytest.raises(NotTaskOwner):
        run_in(session, operation(bob, task.id))
    assert session.get_one(Task, (alice, task.id)).title == "one"
    run_in(session, operation(alice, task.id))


@pytest.mark.parametrize("steps", [everything, change_everything])
def test_a_statement_without_the_first_lock_reaches_only_own_rows(
    steps: Any, session: Session, alice: str, bob: str
) -> None:
    for owner in (alice, bob):
        run_in(session, create_task(owner, BODY))
    assert run_in(session, Op(alice, steps, (), users)) == {alice}
    assert {alice, bob} <= set(session.scalars(EVERY_TASK)), (
        "the login must see all rows outside of operations"
    )
    assert [task.title for task in run_in(session, list_tasks(bob))] == ["one"]


def test_two_owners_alternate_in_one_transaction(session: Session, alice: str, bob: str) -> None:
    for title in ("one", "two"):
        for owner in (alice, bob):
            run_in(session, create_task(owner, TaskCreate(title=f"{title} of {owner}")))
    for owner in (alice, bob):
        titles = [task.title for task in run_in(session, list_tasks(owner))]
        assert titles == [f"two of {owner}", f"one of {owner}"]
        assert run_in(session, Op(owner, everything, (), users)) == {owner}
