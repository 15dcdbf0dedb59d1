"""The third check: rows of another owner are not returned, although both locks let them through."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import select, text

from core.batches import Batches, add_tasks, in_batches
from core.isolation_attempts import ATTEMPTS, Admin, new_task, new_user
from support.crossing_proxy import CrossingProxy
from support.drivers import DRIVERS, Driver, Runner
from support.unfiltered import STATEMENTS
from taskcore import (
    AsyncDatabase,
    Database,
    IsolationBroken,
    NotTaskOwner,
    Op,
    Task,
    TaskCreate,
    UnknownUser,
    create_task,
    get_task,
    list_tasks,
)
from taskcore.execution import owner_check, wire
from taskcore.execution.op import Row, Statement, Steps, rows
from taskcore.execution.wire import BATCH
from taskcore.tasks.fields import TASK_COLUMNS

LOGGER = "taskcore.execution.owner_check"


@pytest.fixture
def admin_of_own(own_url: str) -> Iterator[Admin]:
    with psycopg.connect(own_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def locks_off(admin_of_own: Admin, predicate_off: None) -> None:
    admin_of_own.execute("ALTER TABLE public.tasks DISABLE ROW LEVEL SECURITY")


def is_logged_without_contents(caplog: pytest.LogCaptureFixture, *contents: str) -> bool:
    records = [record for record in caplog.records if record.name == LOGGER]
    assert records and all(record.levelno == logging.CRITICAL for record in records)
    told = "\n".join(record.getMessage() + str(record.__dict__) for record in records)
    return not any(content in told for content in contents)


@pytest.mark.usefixtures("locks_off")
def test_no_row_of_another_owner_is_returned_with_both_locks_off(
    own_url: str, runner: Runner, admin_of_own: Admin, caplog: pytest.LogCaptureFixture
) -> None:
    with runner(own_url) as run:
        for attempt in ATTEMPTS.values():
            attacker, victim = new_user(admin_of_own), new_user(admin_of_own)
            task = new_task(admin_of_own, victim)
            caplog.clear()
            with pytest.raises(IsolationBroken) as raised:
                run(attempt(attacker, task))
            assert str(raised.value) == IsolationBroken.__doc__
            assert is_logged_without_contents(caplog, attacker, victim, "secret", str(task))
        # A success beside them: the owner's own row is returned, on a new connection.
        admin_of_own.execute("DELETE FROM public.tasks")
        assert run(get_task(attacker, new_task(admin_of_own, attacker))).user_id == attacker


@pytest.mark.usefixtures("locks_off", "owner_check_off")
def test_without_the_check_the_other_owners_row_is_returned(
    own_url: str, runner: Runner, admin_of_own: Admin
) -> None:
    """The control."""
    attacker, victim = new_user(admin_of_own), new_user(admin_of_own)
    task = new_task(admin_of_own, victim)
    with runner(own_url) as run:
        for name in ("list", "get", "update", "toggle", "set"):
            found = run(ATTEMPTS[name](attacker, task))
            rows = found if isinstance(found, list) else [found]
            assert {row.user_id for row in rows} == {victim}
        assert run(ATTEMPTS["delete"](attacker, task)) == task


@pytest.mark.usefixtures("locks_off")
def test_one_foreign_row_among_many_is_seen(
    own_url: str, driver: Driver, admin_of_own: Admin
) -> None:
    alice, bob = new_user(admin_of_own), new_user(admin_of_own)
    admin_of_own.execute(
        "INSERT INTO public.tasks (user_id, id, title)"
        " SELECT %s, gen_random_uuid(), 'own' FROM generate_series(1, 2000)",
        [alice],
    )
    with driver(own_url) as run:
        assert len(run(list_tasks(alice))) == 2000
        new_task(admin_of_own, bob)
        with pytest.raises(IsolationBroken):
            run(list_tasks(alice))


@pytest.mark.usefixtures("locks_off")
def test_the_connection_is_closed_and_its_place_filled(own_url: str, admin_of_own: Admin) -> None:
    alice, bob = new_user(admin_of_own), new_user(admin_of_own)
    own, foreign = new_task(admin_of_own, alice), new_task(admin_of_own, bob)
    with Database(own_url, min_size=1, max_size=1) as database:

        def backend() -> int:
            found = database.run(Op(alice, _backend, (), list))
            return int(found[0][0])

        before = backend()
        assert backend() == before
        for _ in range(3):
            with pytest.raises(IsolationBroken):
                database.run(get_task(alice, foreign))
        assert backend() != before
        assert database.run(get_task(alice, own)).id == own


def _backend(_: str) -> Steps[list[Row]]:
    return (yield from rows(Statement(text("SELECT pg_catalog.pg_backend_pid()"))))


# --- answers that are crossed on their way --------------------------------------------------------


def _at_once(url: str, proxy: CrossingProxy, first: Op[Any], second: Op[Any]) -> list[Any]:
    """The two operations on a connection each, whose answers are exchanged, and once more."""
    outcomes: list[Any] = []

    def outcome(database: Database, op: Op[Any]) -> Any:
        try:
            return database.run(op)
        except Exception as error:
            return error

    with (
        Database(url, max_size=1) as one,
        Database(url, max_size=1) as other,
        ThreadPoolExecutor(2) as threads,
    ):
        # Both connections are made and have prepared the same statements before.
        outcomes = [outcome(one, first), outcome(other, second)]
        proxy.cross()
        running = [threads.submit(outcome, one, first), threads.submit(outcome, other, second)]
        outcomes += [future.result(60) for future in running]
        outcomes += [outcome(one, first), outcome(other, second)]
    assert proxy.crossed == 1
    return outcomes


@pytest.fixture
def tasks(url: str, alice: str, bob: str) -> dict[str, UUID]:
    with Database(url) as database:
        return {
            owner: database.run(create_task(owner, TaskCreate(title=f"of {owner}"))).id
            for owner in (alice, bob)
        }


def test_crossed_answers_are_not_returned(
    crossed_url: str,
    crossing_proxy: CrossingProxy,
    tasks: dict[str, UUID],
    caplog: pytest.LogCaptureFixture,
) -> None:
    (alice, hers), (bob, his) = tasks.items()
    outcomes = _at_once(crossed_url, crossing_proxy, get_task(alice, hers), get_task(bob, his))
    before, crossed, after = outcomes[:2], outcomes[2:4], outcomes[4:]
    assert [task.id for task in before] == [hers, his]
    assert [type(error) for error in crossed] == [IsolationBroken, IsolationBroken]
    assert [task.id for task in after] == [hers, his]
    assert is_logged_without_contents(caplog, alice, bob, str(hers), str(his))


@pytest.mark.usefixtures("owner_check_off")
def test_without_the_check_crossed_answers_are_returned(
    crossed_url: str, crossing_proxy: CrossingProxy, tasks: dict[str, UUID]
) -> None:
    """The control: both locks are on, and each user gets the other's task."""
    (alice, hers), (bob, his) = tasks.items()
    outcomes = _at_once(crossed_url, crossing_proxy, get_task(alice, hers), get_task(bob, his))
    assert [task.user_id for task in outcomes[2:4]] == [bob, alice]


def test_a_crossed_answer_without_rows_is_seen_by_its_binding(
    crossed_url: str,
    crossing_proxy: CrossingProxy,
    tasks: dict[str, UUID],
    make_user: Callable[[], str],
) -> None:
    """An empty list for an owner who has tasks, and a list of tasks for one who has none."""
    alice, newcomer = next(iter(tasks)), make_user()
    outcomes = _at_once(crossed_url, crossing_proxy, list_tasks(alice), list_tasks(newcomer))
    assert [len(outcome) for outcome in outcomes[:2]] == [1, 0]
    assert [type(error) for error in outcomes[2:4]] == [IsolationBroken, IsolationBroken]
    assert [len(outcome) for outcome in outcomes[4:]] == [1, 0]


async def test_crossed_answers_are_not_returned_by_the_awaiting_driver(
    crossed_url: str, crossing_proxy: CrossingProxy, tasks: dict[str, UUID]
) -> None:
    (alice, hers), (bob, his) = tasks.items()
    async with AsyncDatabase(crossed_url, min_size=2, max_size=2) as database:

        async def both() -> list[Any]:
            running = (database.run(get_task(alice, hers)), database.run(get_task(bob, his)))
            return list(await asyncio.gather(*running, return_exceptions=True))

        assert [task.id for task in await both()] == [hers, his]
        crossing_proxy.cross()
        assert [type(error) for error in await both()] == [IsolationBroken, IsolationBroken]
        assert [task.id for task in await both()] == [hers, his]
    assert crossing_proxy.crossed == 1


# --- what the check compares ----------------------------------------------------------------------


def test_refusals_and_unknown_users_are_still_what_they_were(
    url: str, tasks: dict[str, UUID]
) -> None:
    alice, (_, his) = next(iter(tasks)), list(tasks.items())[1]
    for driver in DRIVERS.values():
        with driver(url) as run:
            with pytest.raises(NotTaskOwner):
                run(get_task(alice, his))
            with pytest.raises(UnknownUser):
                run(list_tasks("no such user"))


def test_every_statement_that_returns_rows_of_tasks_names_their_owner() -> None:
    without = [name for name, statement in STATEMENTS.items() if statement.owner_column is None]
    assert without == ["_REASON"], "its only column is the reason"


@pytest.mark.parametrize(
    ("found", "right"),
    [([("a",), ("a",)], True), ([("a",), ("b",)], False), ([("a", 1)], False), ([], True)],
)
def test_rows_are_compared_in_number_of_columns_and_in_owner(found: Any, right: bool) -> None:
    statement = Statement(select(Task.__table__.c.user_id))
    assert owner_check.rows_are_owners(statement, "a", found) is right


@pytest.mark.usefixtures("locks_off")
@pytest.mark.parametrize("name", DRIVERS)
def test_no_batch_of_another_owner_reaches_a_sink(
    name: str, own_url: str, admin_of_own: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = new_user(admin_of_own), new_user(admin_of_own)
    for owner in (alice, bob):  # Bob's are newer, so they come first
        add_tasks(admin_of_own, owner, 2 * BATCH)
    sink = Batches(awaited=name == "AsyncDatabase")
    with DRIVERS[name](own_url) as run:
        with pytest.raises(IsolationBroken):
            run(in_batches(alice, sink))
        assert sink.rows == []
        # The control: without the check, the first batches are Bob's.
        monkeypatch.setattr(wire, "rows_are_owners", lambda *_: True)
        run(in_batches(alice, sink))
    owner_column = TASK_COLUMNS.index("user_id")
    assert {row[owner_column] for row in sink.rows} == {alice, bob}
