"""Either lock holds with the other one off; with both off the same attempts get through.

The third check, which would refuse what comes back, is off wherever a lock is tried alone.
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
# RETURNING would ask for the right to read the row; this asks for the one to write it only.
_PLANT = Statement(
    text(
        "WITH planted AS (INSERT INTO public.tasks (user_id, id, title)"
        " VALUES (CAST(:other AS text), pg_catalog.gen_random_uuid(), 'planted')) SELECT 1"
    )
)
_EVERYTHING = Statement(select(_TASKS.c.user_id))
_WIPE = Statement(update(_TASKS).values(completed=~_TASKS.c.completed).returning(_TASKS.c.user_id))


@pytest.fixture
def owner_of_all(own_url: str) -> Iterator[Admin]:
    """The test's own database past both locks."""
    with psycopg.connect(own_url, autocommit=True) as connection:
        yield connection


@pytest.fixture(params=list(DRIVERS))
def run(request: pytest.FixtureRequest, own_url: str) -> Iterator[Run]:
    with DRIVERS[request.param](own_url) as run:
        yield run


@pytest.fixture
def security_off(owner_of_all: Admin) -> None:
    """The second lock is off."""
    owner_of_all.execute("ALTER TABLE public.tasks DISABLE ROW LEVEL SECURITY")


def test_both_locks_hold(run: Run, owner_of_all: Admin) -> None:
    assert leaks(run, owner_of_all) == []


@pytest.mark.usefixtures("security_off", "owner_check_off")
def test_the_predicate_holds_alone(run: Run, owner_of_all: Admin) -> None:
    assert leaks(run, owner_of_all) == []


@pytest.mark.usefixtures("predicate_off", "owner_check_off")
def test_row_level_security_holds_alone(run: Run, owner_of_all: Admin) -> None:
    assert leaks(run, owner_of_all) == []


@pytest.mark.usefixtures("predicate_off", "security_off", "owner_check_off")
def test_with_both_locks_off_every_attempt_gets_through(run: Run, owner_of_all: Admin) -> None:
    """The control: what finds no leak above would have found one."""
    assert leaks(run, owner_of_all) == list(ATTEMPTS)


@pytest.mark.usefixtures("predicate_off")
def test_without_the_predicate_the_owner_still_has_the_own_rows(
    run: Run, owner_of_all: Admin
) -> None:
    """The control: row-level security hides the others' rows, and not all of them."""
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


def _plant_for(_: str, other: str) -> Steps[list[Row]]:
    return (yield from rows(_PLANT, other=other))


def _give_to(owner: str, other: str) -> Steps[list[Row]]:
    return (yield from rows(_GIVE_AWAY, owner=owner, to=other))


def _count(admin: Admin, owner: str) -> int:
    found = admin.execute("SELECT count(*) FROM public.tasks WHERE user_id = %s", [owner])
    return int(found.fetchall()[0][0])


@pytest.mark.usefixtures("owner_check_off")
@pytest.mark.parametrize("steps", [_insert_for, _plant_for, _give_to])
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
@pytest.mark.parametrize("statement", [_EVERYTHING, _WIPE], ids=["read", "write"])
def test_a_statement_without_any_condition_reaches_the_own_rows_only(
    statement: Statement, run: Run, owner_of_all: Admin
) -> None:
    alice, bob = new_user(owner_of_all), new_user(owner_of_all)
    for owner in (alice, alice, bob):
        new_task(owner_of_all, owner)
    sweep: Op[list[Row]] = Op(alice, lambda _: rows(statement), (), list)
    assert run(sweep) == [(alice,), (alice,)]

    owner_of_all.execute("ALTER TABLE public.tasks DISABLE ROW LEVEL SECURITY")
    assert sorted(run(sweep)) == sorted([(alice,), (alice,), (bob,)])
