"""The service on a real PostgreSQL, with the rights that it has in production."""

from collections.abc import Callable, Iterator

import pytest
from sqlmodel import Session, create_engine

from notes import add_note, finish, notes_with_titles
from taskcore import TaskCreate, create_task, get_task, run_in


@pytest.fixture
def session(taskcore_server_url: str) -> Iterator[Session]:
    engine = create_engine(taskcore_server_url.replace("postgresql:", "postgresql+psycopg:"))
    with Session(engine) as session:
        yield session
    engine.dispose()


def test_each_user_sees_their_own_notes(
    session: Session, taskcore_make_user: Callable[[], str]
) -> None:
    alice, bob = taskcore_make_user(), taskcore_make_user()
    for owner in (alice, bob):
        task = run_in(session, create_task(owner, TaskCreate(title="Buy milk")))
        add_note(session, owner, task.id, f"for {owner}")
    assert notes_with_titles(session, alice) == [("Buy milk", f"for {alice}")]
    assert notes_with_titles(session, bob) == [("Buy milk", f"for {bob}")]


def test_a_task_is_finished_together_with_its_note(
    session: Session, taskcore_make_user: Callable[[], str]
) -> None:
    owner = taskcore_make_user()
    task = run_in(session, create_task(owner, TaskCreate(title="Buy milk")))
    finish(session, owner, task.id, "two litres")
    assert run_in(session, get_task(owner, task.id)).completed
    assert notes_with_titles(session, owner) == [("Buy milk", "two litres")]
