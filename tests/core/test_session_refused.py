"""A session without a working transaction cannot hold the second lock, so it is refused."""

from __future__ import annotations

from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from taskcore import (
    DatabaseFault,
    Op,
    SessionRefused,
    Task,
    TaskCreate,
    create_task,
    list_tasks,
    run_in,
)
from taskcore.execution.op import Row, Statement, Steps, rows

BODY = TaskCreate(title="one")


def test_autocommit_is_refused_and_changes_nothing(engine: Engine, alice: str) -> None:
    with Session(engine.execution_options(isolation_level="AUTOCOMMIT")) as session:
        with pytest.raises(SessionRefused):
            run_in(session, create_task(alice, BODY))
        assert session.scalar(text("SELECT current_setting('role')")) == "none"
    with Session(engine) as session:
        assert run_in(session, list_tasks(alice)) == []


@pytest.mark.parametrize("level", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
def test_a_transaction_of_any_isolation_level_is_accepted(
    level: str, engine: Engine, alice: str
) -> None:
    with Session(engine.execution_options(isolation_level=level)) as session:
        task = run_in(session, create_task(alice, BODY))
        assert [found.id for found in run_in(session, list_tasks(alice))] == [task.id]


def test_a_failed_transaction_is_refused_until_it_is_rolled_back(
    session: Session, alice: str
) -> None:
    with pytest.raises(DBAPIError):
        session.execute(text("SELECT 1 / 0"))
    with pytest.raises(SessionRefused) as refused:
        run_in(session, list_tasks(alice))
    assert isinstance(refused.value.__cause__, psycopg.errors.InFailedSqlTransaction)
    session.rollback()
    assert run_in(session, list_tasks(alice)) == []


def test_a_transaction_that_failed_in_a_flush_is_refused(session: Session, alice: str) -> None:
    session.add(Task(user_id="unknown", id=uuid4(), title="by hand"))
    with pytest.raises(IntegrityError):
        session.flush()
    with pytest.raises(SessionRefused):
        run_in(session, list_tasks(alice))
    session.rollback()
    assert run_in(session, list_tasks(alice)) == []


def test_a_value_that_the_driver_refuses_is_not_a_lost_connection(
    session: Session, alice: str
) -> None:
    echo = Statement(text("SELECT CAST(:value AS text)"))

    def send(owner: str, value: str) -> Steps[list[Row]]:
        return (yield from rows(echo, value=value))

    with pytest.raises(DatabaseFault):
        run_in(session, Op(alice, send, ("\0",), len))
    assert run_in(session, Op(alice, send, ("fine",), len)) == 1
