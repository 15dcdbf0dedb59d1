"""Each lock holds while the other is off; with both off, every attempt leaks.

The third check, which would refuse the rows, is off where a lock is tested alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import Text, bindparam, select, text, update

from core.isolation_attempts import (
    ATTEMPTS,
    DRIVERS,
    Admin,
    Run,
    leaks,
    new_task,
    new_user,
    new_values,
)
from taskcore import Op, RowRefused, Task, TaskCreate, TaskNotFound, get_task
from taskcore.execution.op import Row, Statement, Steps, rows
from taskcore.tasks import operations

_TASKS = Task.__table__
_GIVE_AWAY = Statement(
    update(_TASKS)
    .where(_TASKS.c.user_id == bindparam("owner"))
    .values(user_id=bindparam("to", type_=Text()))
    .returning(_TASKS.c.user_id)
)
# RETURNING would need the right to read the row; this statement needs only the right to write.
_INSERT_UNREAD = Statement(
    text(
        "WITH planted AS (INSERT INTO public.tasks (user_id, id, title)"
        " VALUES (CAST(:other AS text), pg_catalog.gen_random_uuid(), 'planted')) SELECT 1"
    )
)
_EVERYTHING = Statement(select(_TASKS.c.user_id))
_CHANGE_EVERYTHING = Statement(
    update(_TASKS).values(completed=~_TASKS.c.completed).returning(_TASKS.c.user_id)
)


@pytest.fixture
def owner_of_all(own_url: str) -> Iterator[Admin]:
    """A connection to the test's database that passes both locks."""
    with psycopg.connect(own_url, autocommit=True) as connection:
        yield connection


@pytest.fixture(params=list(DRIVERS))
def run(request: pytest.FixtureRequest, own_url: str) -> Iterator[Run]:
    with DRIVERS[request.param](own_url) as run:
        yield run


@pytest.fixture
def security_off(owner_of_all: Admin) -> None:
    """Switch the second lock off."""
    owner_of_all.execute("ALTER TABLE public.tasks DISABLE ROW LEVEL SECURITY")


def test_both_locks_hold(run: Run, owner_of_all: Admin) -> None:
    assert leaks(run, owner_of_all) == []


@pytest.mark.usefixtures("security_off", "owner_check_off")
def test_the_first_lock_holds_alone(run: Run, owner_of_all: Admin) -> None:
    assert leaks(run, owner_of_all) == []


@pytest.mark.usefixtures("predicate_off", "owner_check_off")
def test_the_second_lock_holds_alone(run: Run, owner_of_all: Admin) -> None:
    assert leaks(run, owner_of_all) == []


@pytest.mark.usefixtures("predicate_off", "security_off", "owner_check_off")
def test_with_both_locks_off_every_attempt_leaks(run: Run, owner_of_all: Admin) -> None:
    """Control: `leaks` finds a leak if there is one."""
    assert leaks(run, owner_of_all) == list(ATTEMPTS)


@pytest.mark.usefixtures("predicate_off")
def test_without_the_first_lock_an_owner_still_reaches_own_rows(
    run: Run, owner_of_all: Admin
) -> None:
    """Control: row-level security hides the rows of other owners, not all rows."""
    alice = new_user(owner_of_all)
    task = new_task(owner_of_all, alice)
    assert run(get_task(alice, task)).title == "secret"
    for name, attempt in ATTEMPTS.items():
        if name != "create":
            run(attempt(alice, task))
    with pytest.raises(TaskNotFound):
        run(get_task(alice, task))


def _insert_for(owner: str, other: str) -> Steps[list[Row]]:
    values = new_values(TaskCreate(title="planted"))
    return (yield from rows(operations._CREATE, owner=other, task_id=uuid4(), **values))


def _insert_unread_for(_: str, other: str) -> Steps[list[Row]]:
    return (yield from rows(_INSERT_UNREAD, other=other))


def _give_to(owner: str, other: str) -> Steps[list[Row]]:
    return (yield from rows(_GIVE_AWAY, owner=owner, to=other))


def _count(admin: Admin, owner: str) -> int:
    found = admin.execute("SELECT count(*) FROM public.tasks WHERE user_id = %s", [owner])
    return int(found.fetchall()[0][0])


@pytest.mark.usefixtures("owner_check_off")
@pytest.mark.parametrize("steps", [_insert_for, _insert_unread_for, _give_to])
def test_no_row_can_be_written_for_another_user(
    steps: object, run: Run, owner_of_all: Admin
) -> None:
    alice, bob = new_user(owner_of_all), new_user(owner_of_all)
    new_task(owner_of_all, alice)
    attempt = Op(alice, steps, (bob,), list)  # type: ignore[arg-type]
    with pytest.raises(RowRefused):
        run(attempt)
    assert (_count(owner_of_all, alice), _count(owner_of_all, bob)) == (1, 0)

    owner_of_all.execute("ALTER TABLE public.tasks DISABLE ROW LEVEL SECURITY")
    assert len(run(attempt)) == 1
    assert _count(owner_of_all, bob) == 1


@pytest.mark.usefixtures("owner_check_off")
@pytest.mark.parametrize("statement", [_EVERYTHING, _CHANGE_EVERYTHING], ids=["read", "write"])
def test_a_statement_without_any_condition_reaches_only_own_rows(
    statement: Statement, run: Run, owner_of_all: Admin
) -> None:
    alice, bob = new_user(owner_of_all), new_user(owner_of_all)
    for owner in (alice, alice, bob):
        new_task(owner_of_all, owner)
    unconditional: Op[list[Row]] = Op(alice, lambda _: rows(statement), (), list)
    assert run(unconditional) == [(alice,), (alice,)]

    owner_of_all.execute("ALTER TABLE public.tasks DISABLE ROW LEVEL SECURITY")
    assert sorted(run(unconditional)) == sorted([(alice,), (alice,), (bob,)])
