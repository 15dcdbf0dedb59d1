"""`bind_owner`: the caller's own statements run as the tenant role, for one owner, in one block."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy import Engine, create_engine, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session, scoped_session, sessionmaker
from sqlalchemy.orm.exc import ObjectDeletedError
from sqlmodel import col

from support.drivers import sqlalchemy_url
from taskcore import (
    ConnectionLost,
    InvalidInput,
    SessionRefused,
    Task,
    TaskCreate,
    bind_owner,
    create_task,
    list_tasks,
    run_in,
)

BODY = TaskCreate(title="one")
SETTINGS = text(
    "SELECT current_setting('role'), current_setting('search_path'),"
    " coalesce(current_setting('taskcore.user_id', true), '')"
)
BOUND_TO = text("SELECT current_user, coalesce(current_setting('taskcore.user_id', true), '')")


def bound_to(session: Session) -> tuple[str, str]:
    user, owner = session.execute(BOUND_TO).one()
    return user, owner


def owners(session: Session) -> set[str]:
    return set(session.scalars(select(col(Task.user_id))))


@pytest.fixture
def tasks(session: Session, alice: str, bob: str) -> dict[str, UUID]:
    """A task of each of the two, by its owner."""
    made = {owner: run_in(session, create_task(owner, BODY)).id for owner in (alice, bob)}
    session.commit()
    return made


# --- reads ----------------------------------------------------------------------------------------


def test_a_read_finds_the_owners_rows_only(
    session: Session, tasks: dict[str, UUID], alice: str, bob: str
) -> None:
    for owner, other in ((alice, bob), (bob, alice)):
        with bind_owner(session, owner):
            assert owners(session) == {owner}
            assert session.get_one(Task, (owner, tasks[owner])).title == "one"
            assert session.get(Task, (other, tasks[other])) is None
    # Control: the same login sees all rows outside.
    assert {alice, bob} <= owners(session)


def test_the_search_path_is_the_callers(session: Session, alice: str) -> None:
    session.execute(text("SET LOCAL search_path = pg_catalog, public"))
    before = session.execute(SETTINGS).one()
    with bind_owner(session, alice):
        assert tuple(session.execute(SETTINGS).one()) == ("taskcore_tenant", before[1], alice)
        assert session.scalars(text("SELECT user_id FROM tasks")).all() == []
    assert session.execute(SETTINGS).one() == before


def test_an_operation_inside_is_for_its_own_owner(
    session: Session, tasks: dict[str, UUID], alice: str, bob: str
) -> None:
    with bind_owner(session, alice):
        assert [task.user_id for task in run_in(session, list_tasks(bob))] == [bob]
        assert owners(session) == {alice}


def test_a_block_inside_a_block_binds_its_own_owner(
    session: Session, tasks: dict[str, UUID], alice: str, bob: str
) -> None:
    with bind_owner(session, alice):
        with bind_owner(session, bob):
            assert owners(session) == {bob}
            session.commit()
            assert owners(session) == {bob}
        assert owners(session) == {alice}
        session.commit()
        assert owners(session) == {alice}
    assert bound_to(session) == ("postgres", "")


def test_tasks_are_expired_on_entry_and_at_the_end(
    session: Session, tasks: dict[str, UUID], alice: str, bob: str, admin: psycopg.Connection
) -> None:
    his = session.get_one(Task, (bob, tasks[bob]))
    hers = session.get_one(Task, (alice, tasks[alice]))
    assert (his.title, hers.title) == ("one", "one")
    session.commit()
    hers.title  # noqa: B018 - read again after the commit
    admin.execute("UPDATE tasks SET title = 'two' WHERE user_id = %s", [alice])
    with bind_owner(session, alice):
        assert hers.title == "two"
        with pytest.raises(ObjectDeletedError):
            his.title  # noqa: B018
        admin.execute("UPDATE tasks SET title = 'three' WHERE user_id = %s", [alice])
        assert hers.title == "two"
    assert (his.title, hers.title) == ("one", "three")


# --- changes --------------------------------------------------------------------------------------


def test_changes_are_flushed_under_the_rights_of_their_place(
    session: Session, tasks: dict[str, UUID], alice: str, bob: str
) -> None:
    before = Task(user_id=bob, id=uuid4(), title="with the login's rights")
    session.add(before)
    with bind_owner(session, alice):
        session.add(Task(user_id=alice, id=uuid4(), title="as the tenant role"))
    session.commit()
    found = {task.title for task in session.scalars(select(Task)) if task.user_id in (alice, bob)}
    assert found == {"one", "with the login's rights", "as the tenant role"}


def test_a_row_of_another_owner_is_refused_at_the_end_of_the_block(
    session: Session, alice: str, bob: str
) -> None:
    before = session.execute(SETTINGS).one()

    def plant() -> None:
        with bind_owner(session, alice):
            session.add(Task(user_id=bob, id=uuid4(), title="planted"))

    with pytest.raises(DBAPIError) as refused:
        plant()
    assert isinstance(refused.value.orig, psycopg.errors.InsufficientPrivilege)
    session.rollback()
    assert session.execute(SETTINGS).one() == before
    assert run_in(session, list_tasks(bob)) == []


# --- transactions ---------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["commit", "rollback", "close"])
@pytest.mark.usefixtures("tasks")
def test_the_next_transaction_inside_the_block_is_bound_too(
    end: str, session: Session, alice: str
) -> None:
    before = session.execute(SETTINGS).one()
    with bind_owner(session, alice):
        for _ in range(2):
            getattr(session, end)()
            assert owners(session) == {alice}
    assert session.execute(SETTINGS).one() == before
    session.commit()
    assert session.execute(SETTINGS).one() == before


def test_a_block_that_ends_after_a_commit_leaves_no_transaction_behind(
    session: Session, alice: str
) -> None:
    with bind_owner(session, alice):
        session.commit()
    assert not session.in_transaction()


@pytest.mark.usefixtures("tasks")
def test_the_rollback_of_a_savepoint_keeps_the_binding(session: Session, alice: str) -> None:
    """PostgreSQL takes settings back that are younger than the savepoint."""
    before = session.execute(SETTINGS).one()
    older = session.begin_nested()
    with bind_owner(session, alice):
        with session.begin_nested() as younger:
            younger.rollback()
        assert owners(session) == {alice}
        older.rollback()
        assert owners(session) == {alice}
    assert session.execute(SETTINGS).one() == before


def test_a_savepoint_that_outlives_the_block_is_refused(session: Session, alice: str) -> None:
    before = session.execute(SETTINGS).one()

    def leave_one_open() -> None:
        with bind_owner(session, alice):
            session.begin_nested()
            session.begin_nested()

    with pytest.raises(SessionRefused, match="savepoint"):
        leave_one_open()
    assert not session.in_nested_transaction()
    assert session.execute(SETTINGS).one() == before
    older = session.begin_nested()
    with bind_owner(session, alice), session.begin_nested():
        pass
    assert session.get_nested_transaction() is older
    older.rollback()
    assert session.execute(SETTINGS).one() == before


@pytest.mark.parametrize("savepoint", [True, False])
def test_an_error_inside_the_block_restores_the_settings(
    savepoint: bool, session: Session, alice: str
) -> None:
    before = session.execute(SETTINGS).one()

    def fail() -> None:
        with bind_owner(session, alice):
            if savepoint:
                session.begin_nested()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert session.execute(SETTINGS).one() == before


@pytest.mark.parametrize("caught", [True, False])
def test_a_failed_transaction_has_to_be_rolled_back(
    caught: bool, session: Session, alice: str
) -> None:
    before = session.execute(SETTINGS).one()

    def fail() -> None:
        with bind_owner(session, alice):
            try:
                session.execute(text("SELECT 1 / 0"))
            except DBAPIError:
                if not caught:
                    raise

    with pytest.raises(SessionRefused if caught else DBAPIError):
        fail()
    session.rollback()
    assert session.execute(SETTINGS).one() == before


def test_a_lost_connection_is_reported(
    session: Session, alice: str, admin: psycopg.Connection
) -> None:
    before = session.execute(SETTINGS).one()

    def lose(inside: bool) -> None:
        with bind_owner(session, alice):
            pid = session.scalar(text("SELECT pg_backend_pid()"))
            admin.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])
            if inside:
                session.execute(text("SELECT 1"))

    for inside, expected in ((True, DBAPIError), (False, ConnectionLost)):
        with pytest.raises(expected):
            lose(inside)
        session.rollback()
        assert session.execute(SETTINGS).one() == before


# --- sessions of each kind ------------------------------------------------------------------------


@pytest.fixture
def outer(engine: Engine, make_user: object) -> Iterator[Any]:
    """A transaction around the session's own, as test suites have it."""
    with engine.connect() as connection:
        connection.begin()
        yield connection


@pytest.mark.parametrize("mode", ["create_savepoint", "control_fully", "rollback_only"])
@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_a_session_in_a_transaction_of_the_callers_is_bound_and_restored(
    mode: Any, end: str, outer: Any, alice: str, bob: str
) -> None:
    with Session(outer, join_transaction_mode=mode) as session:
        before = session.execute(SETTINGS).one()
        for owner in (alice, bob):
            run_in(session, create_task(owner, BODY))
        with bind_owner(session, alice):
            getattr(session, end)()
            assert bound_to(session) == ("taskcore_tenant", alice)
            assert owners(session) <= {alice}
        assert session.execute(SETTINGS).one() == before


def test_another_session_is_not_bound(
    engine: Engine, session: Session, tasks: dict[str, UUID], alice: str
) -> None:
    with Session(engine) as other:
        with bind_owner(session, alice):
            assert bound_to(other) == ("postgres", "")
            other.commit()
            assert set(tasks) <= owners(other)
        other.rollback()


def test_another_database_of_the_session_is_left_alone(
    engine: Engine, tasks: dict[str, UUID], alice: str, own_url: str
) -> None:
    other = create_engine(sqlalchemy_url(own_url))
    with Session(engine) as session:
        with bind_owner(session, alice):
            connection = session.connection(bind_arguments={"bind": other})
            assert connection.scalar(text("SELECT current_user")) == "postgres"
            assert owners(session) == {alice}
        session.rollback()
    other.dispose()


@pytest.fixture
def scoped(engine: Engine, make_user: object) -> Iterator[scoped_session[Session]]:
    scoped = scoped_session(sessionmaker(engine))
    yield scoped
    scoped.remove()


def test_a_scoped_session_is_taken(
    scoped: scoped_session[Session], tasks: dict[str, UUID], alice: str
) -> None:
    with bind_owner(scoped, alice):
        assert set(scoped.scalars(select(col(Task.user_id)))) == {alice}
    assert [task.id for task in run_in(scoped, list_tasks(alice))] == [tasks[alice]]


def test_autocommit_is_refused(engine: Engine, alice: str) -> None:
    with Session(engine.execution_options(isolation_level="AUTOCOMMIT")) as session:
        with pytest.raises(SessionRefused), bind_owner(session, alice):
            pass
        assert bound_to(session) == ("postgres", "")


def test_what_is_no_session_of_postgresql_is_refused_by_name(engine: Engine, alice: str) -> None:
    wrong: Any = engine
    with pytest.raises(InvalidInput, match="AsyncSession is needed, not Engine"):
        bind_owner(wrong, alice)
    with pytest.raises(InvalidInput, match="AsyncSession is needed, not Engine"):
        run_in(wrong, list_tasks(alice))
    lite = create_engine("sqlite://")
    with Session(lite) as session:
        with pytest.raises(SessionRefused, match="PostgreSQL, and this is sqlite"):
            run_in(session, list_tasks(alice))
        with (
            pytest.raises(SessionRefused, match="PostgreSQL, and this is sqlite"),
            bind_owner(session, alice),
        ):
            pass
    lite.dispose()


def test_an_owner_that_cannot_be_one_is_refused_at_once(session: Session) -> None:
    with pytest.raises(InvalidInput):
        bind_owner(session, "")
    assert not session.in_transaction()


def test_no_listener_stays_behind(session: Session, alice: str) -> None:
    with bind_owner(session, alice):
        pass
    session.add(Task(user_id="unknown", id=uuid4(), title="by hand"))
    with pytest.raises(IntegrityError), bind_owner(session, alice):
        pass
    session.rollback()
    for name in ("after_begin", "after_soft_rollback"):
        assert list(getattr(session.dispatch, name)) == []
