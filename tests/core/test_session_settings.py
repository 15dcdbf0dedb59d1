"""After each operation, also a failed one, role, owner and search_path are the caller's again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from taskcore import (
    DatabaseFault,
    NotTaskOwner,
    Op,
    RowRefused,
    StaleTask,
    TaskCreate,
    TaskNotFound,
    UnknownUser,
    create_task,
    delete_task,
    get_task,
    list_tasks,
    run_in,
    toggle_task,
)
from taskcore.execution.op import Row, Statement, Steps, rows

BODY = TaskCreate(title="one")
INSERT = Statement(
    text(
        "INSERT INTO public.tasks (user_id, id, title) VALUES (:other, :task_id, 'by hand')"
        " RETURNING id"
    )
)
DIVIDE = Statement(text("SELECT 1 / CAST(:zero AS integer)"))


def insert_for(owner: str, other: str) -> Steps[list[Row]]:
    return (yield from rows(INSERT, other=other, task_id=uuid4()))


def divide(owner: str) -> Steps[list[Row]]:
    return (yield from rows(DIVIDE, zero=0))


def fail(owner: str) -> Steps[list[Row]]:
    yield from rows(DIVIDE, zero=1)
    raise ZeroDivisionError


def raw_operation(steps: Callable[..., Steps[Any]], owner: str, *args: object) -> Op[Any]:
    return Op(owner, steps, args, lambda result: result)


Case = Callable[[str, str, UUID], Op[Any]]

FAILURES: dict[str, tuple[type[Exception], Case]] = {
    "unknown user": (UnknownUser, lambda _alice, _bob, _task: list_tasks("unknown")),
    "no foreign key": (UnknownUser, lambda _alice, _bob, _: create_task("unknown", BODY)),
    "foreign": (NotTaskOwner, lambda _, bob, task: get_task(bob, task)),
    "absent": (TaskNotFound, lambda alice, _bob, _task: delete_task(alice, uuid4())),
    "stale": (StaleTask, lambda alice, _, task: toggle_task(alice, task, if_version=[])),
    "refused row": (RowRefused, lambda alice, bob, _: raw_operation(insert_for, bob, alice)),
    "database error": (DatabaseFault, lambda alice, _bob, _task: raw_operation(divide, alice)),
    "any other error": (ZeroDivisionError, lambda alice, _bob, _: raw_operation(fail, alice)),
}
SETTINGS = text(
    "SELECT current_user, session_user, current_setting('role'), current_setting('search_path'),"
    " coalesce(current_setting('taskcore.user_id', true), ''),"
    " current_setting('statement_timeout'), current_setting('TimeZone')"
)
OWN = [
    "SET LOCAL ROLE pg_monitor",
    'SET LOCAL search_path = pg_catalog, "$user", "a, \'b"',
    "SET LOCAL taskcore.user_id = 'the caller''s'",
    "SET LOCAL statement_timeout = '17s'",
    "SET LOCAL TimeZone = 'Asia/Kolkata'",
]


@pytest.fixture(params=[[], OWN], ids=["default", "own"])
def settings_before(request: pytest.FixtureRequest, session: Session) -> Any:
    """The session's settings: the defaults, or those that the caller has set."""
    for statement in request.param:
        session.execute(text(statement))
    return session.execute(SETTINGS).one()


def test_an_operation_runs_with_settings_of_its_own(
    settings_before: Any, session: Session, alice: str
) -> None:
    """Control: the settings differ during an operation."""

    def read_settings(owner: str) -> Steps[list[Row]]:
        return (yield from rows(Statement(SETTINGS)))

    ((user, _, role, search_path, owner, timeout, zone),) = run_in(
        session, raw_operation(read_settings, alice)
    )
    assert (user, role) == ("taskcore_tenant", "taskcore_tenant")
    assert (search_path, owner) == ("pg_catalog, pg_temp", alice)
    assert (timeout, zone) == tuple(settings_before)[5:]


def test_the_settings_are_restored_after_a_success(
    settings_before: Any, session: Session, alice: str
) -> None:
    task = run_in(session, create_task(alice, BODY))
    assert session.execute(SETTINGS).one() == settings_before
    run_in(session, get_task(alice, task.id))
    run_in(session, delete_task(alice, task.id))
    assert session.execute(SETTINGS).one() == settings_before


@pytest.mark.parametrize("name", FAILURES)
def test_the_settings_are_restored_after_a_failure(
    name: str, settings_before: Any, session: Session, alice: str, bob: str
) -> None:
    task = run_in(session, create_task(alice, BODY))
    expected, make = FAILURES[name]
    with pytest.raises(expected):
        run_in(session, make(alice, bob, task.id))
    assert session.execute(SETTINGS).one() == settings_before
    assert run_in(session, get_task(alice, task.id)).title == "one", (
        "the transaction cannot be used any more"
    )


def test_a_failure_undoes_only_what_the_operation_wrote(session: Session, alice: str) -> None:
    kept = run_in(session, create_task(alice, BODY))

    def write(owner: str, fails: bool) -> Steps[list[Row]]:
        written = yield from rows(INSERT, other=owner, task_id=uuid4())
        if fails:
            raise ZeroDivisionError
        return written

    with pytest.raises(ZeroDivisionError):
        run_in(session, raw_operation(write, alice, True))
    assert [task.id for task in run_in(session, list_tasks(alice))] == [kept.id]
    run_in(session, raw_operation(write, alice, False))
    assert len(run_in(session, list_tasks(alice))) == 2


def test_the_next_transaction_starts_with_the_defaults(session: Session, alice: str) -> None:
    before = session.execute(SETTINGS).one()
    for end in (session.commit, session.rollback):
        run_in(session, create_task(alice, BODY))
        end()
        assert session.execute(SETTINGS).one() == before
