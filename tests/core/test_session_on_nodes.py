"""Operations in a caller's session where the owner is bound by the function."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

from support.drivers import RUNNERS, Runner, sqlalchemy_url
from taskcore import (
    SessionRefused,
    TaskCreate,
    TaskUpdate,
    create_task,
    get_task,
    list_tasks,
    run_in,
    update_task,
)

BOUND = text("SELECT current_setting('taskcore.user_id', true), current_setting('role')")


@pytest.fixture(params=[name for name in RUNNERS if "Session" in name])
def in_session(request: pytest.FixtureRequest) -> Runner:
    return RUNNERS[request.param]


@pytest.fixture
def session(block_url: str) -> Iterator[Session]:
    engine = create_engine(sqlalchemy_url(block_url))
    with Session(engine) as session:
        yield session
    engine.dispose()


def test_every_session_binds_by_the_function(block_url: str, in_session: Runner) -> None:
    with in_session(block_url) as run:
        task = run(create_task("alice", TaskCreate(title="one")))
        assert run(get_task("alice", task.id)).title == "one"


def test_what_was_bound_before_is_restored(session: Session) -> None:
    session.execute(text("SELECT set_config('taskcore.user_id', 'the caller''s', true)"))
    assert run_in(session, list_tasks("alice")) == []
    assert session.execute(BOUND).one() == ("the caller's", "none")
    with pytest.raises(SessionRefused):
        run_in(session, create_task("alice", TaskCreate(title="25001")))
    assert session.execute(BOUND).one() == ("the caller's", "none")


def test_a_row_that_the_caller_has_changed_is_refused_with_what_to_do(
    block_url: str, in_session: Runner
) -> None:
    """The trigger raises what Citus says then; the operation alone succeeds."""
    with in_session(block_url) as run:
        task = run(create_task("alice", TaskCreate(title="one")))
        with pytest.raises(SessionRefused, match="commit before the operation"):
            run(update_task("alice", task.id, TaskUpdate(title="25001")))
        assert run(update_task("alice", task.id, TaskUpdate(title="two"))).title == "two"
