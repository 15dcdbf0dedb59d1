"""An operation joins the session's transaction, and is committed or rolled back with it."""

from __future__ import annotations

from uuid import uuid4

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from taskcore import (
    Database,
    Task,
    TaskCreate,
    TaskNotFound,
    TaskUpdate,
    User,
    create_task,
    delete_task,
    get_task,
    list_tasks,
    run_in,
    toggle_task,
    update_task,
)

BODY = TaskCreate(title="one")


def test_an_operation_is_committed_with_the_session(
    session: Session, db: Database, alice: str
) -> None:
    task = run_in(session, create_task(alice, BODY))
    assert db.run(list_tasks(alice)) == [], "the task was visible before the commit"
    session.commit()
    assert [found.id for found in db.run(list_tasks(alice))] == [task.id]


def test_an_operation_is_rolled_back_with_the_session(
    session: Session, db: Database, alice: str
) -> None:
    run_in(session, create_task(alice, BODY))
    assert len(run_in(session, list_tasks(alice))) == 1
    session.rollback()
    assert run_in(session, list_tasks(alice)) == []
    assert db.run(list_tasks(alice)) == []


@pytest.mark.parametrize("commits", [True, False])
def test_an_operation_and_the_callers_objects_are_committed_together_or_not_at_all(
    commits: bool, session: Session, db: Database, alice: str
) -> None:
    mine = Task(user_id=alice, id=uuid4(), title="by hand")
    session.add(mine)
    made = run_in(session, create_task(alice, BODY))
    ids = {mine.id, made.id}
    if commits:
        session.commit()
    else:
        session.rollback()
    assert {task.id for task in db.run(list_tasks(alice))} == (ids if commits else set())


def test_pending_objects_are_flushed_first(engine: Engine, alice: str) -> None:
    with Session(engine, autoflush=False) as session:
        mine = Task(user_id=alice, id=uuid4(), title="by hand")
        session.add(mine)
        assert run_in(session, toggle_task(alice, mine.id)).title == "by hand"


def test_a_pending_user_can_have_tasks_at_once(engine: Engine, db: Database) -> None:
    user = User(id=f"user_{uuid4().hex}")
    with Session(engine, autoflush=False) as session:
        session.add(user)
        run_in(session, create_task(user.id, BODY))
        session.rollback()
    with Session(engine, autoflush=False) as session:
        session.add(user := User(id=f"user_{uuid4().hex}"))
        assert run_in(session, list_tasks(user.id)) == []


def test_a_flush_that_fails_is_the_callers_own_error(session: Session, alice: str) -> None:
    session.add(Task(user_id="unknown", id=uuid4(), title="by hand"))
    with pytest.raises(IntegrityError):
        run_in(session, list_tasks(alice))
    session.rollback()
    assert run_in(session, list_tasks(alice)) == []


def test_a_write_makes_the_session_reload_its_objects(session: Session, alice: str) -> None:
    task = run_in(session, create_task(alice, BODY))
    held = session.scalars(select(Task).where(Task.id == task.id)).one()  # type: ignore[arg-type]
    run_in(session, update_task(alice, task.id, TaskUpdate(title="two")))
    assert held.title == "two"


def test_a_read_keeps_the_sessions_objects(session: Session, alice: str) -> None:
    """Control: a write expires the objects, and a read does not."""
    task = run_in(session, create_task(alice, BODY))
    held = session.get_one(Task, (alice, task.id))
    run_in(session, get_task(alice, task.id))
    run_in(session, list_tasks(alice))
    assert "title" in vars(held)
    run_in(session, toggle_task(alice, task.id))
    assert "title" not in vars(held)


def test_the_rollback_of_a_savepoint_undoes_the_operation(
    session: Session, db: Database, alice: str
) -> None:
    kept = run_in(session, create_task(alice, BODY))
    with session.begin_nested():
        run_in(session, update_task(alice, kept.id, TaskUpdate(title="kept")))
    savepoint = session.begin_nested()
    run_in(session, create_task(alice, TaskCreate(title="undone")))
    run_in(session, update_task(alice, kept.id, TaskUpdate(title="undone")))
    savepoint.rollback()
    assert [task.title for task in run_in(session, list_tasks(alice))] == ["kept"]
    session.commit()
    assert [task.title for task in db.run(list_tasks(alice))] == ["kept"]


def test_the_rollback_of_a_savepoint_restores_the_sessions_objects(
    session: Session, alice: str
) -> None:
    task = run_in(session, create_task(alice, BODY))
    held = session.get_one(Task, (alice, task.id))
    savepoint = session.begin_nested()
    run_in(session, update_task(alice, task.id, TaskUpdate(title="undone")))
    assert held.title == "undone"
    savepoint.rollback()
    assert held.title == "one"


def test_a_miss_keeps_the_rest_of_the_transaction(
    session: Session, db: Database, alice: str
) -> None:
    task = run_in(session, create_task(alice, BODY))
    with pytest.raises(TaskNotFound):
        run_in(session, delete_task(alice, uuid4()))
    session.commit()
    assert [found.id for found in db.run(list_tasks(alice))] == [task.id]
