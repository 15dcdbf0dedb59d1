"""Prepared statements that other clients make or remove cost a warning, and no operation."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import sql

from core.pool_connection import loop_pool_connection, pool_connection
from support.drivers import Driver
from support.sql import run_sql
from taskcore import (
    AsyncDatabase,
    Database,
    DatabaseFault,
    DatabaseNotReady,
    Op,
    TaskCreate,
    TaskRead,
    create_task,
    get_task,
    list_tasks,
    set_task_completed,
    toggle_task,
)
from taskcore.execution import wire
from taskcore.tasks import operations

STATEMENTS = [operations._CREATE, operations._GET, operations._TOGGLE]
REMOVE: list[sql.SQL | sql.Composed] = [sql.SQL("DEALLOCATE ALL")]
MAKE: list[sql.SQL | sql.Composed] = [
    sql.SQL("PREPARE {} AS SELECT 1").format(sql.Identifier(statement.name.decode()))
    for statement in (wire.BIND_OWNER, *STATEMENTS)
]
# What another client does to the server's connection: before the operation, if this client has
# prepared the statements there; or if it has not.
OTHERS = {"removed": REMOVE, "there already": REMOVE + MAKE}
WARNING = "Set TASKAPI_TRANSACTION_POOLER=true"


def warnings(caplog: pytest.LogCaptureFixture) -> int:
    return sum(WARNING in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize("how", OTHERS)
@pytest.mark.parametrize("name", ["create", "get", "toggle"])
def test_an_operation_runs_once_all_the_same(
    url: str, alice: str, how: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    with Database(url) as other:
        task = other.run(create_task(alice, TaskCreate(title="one")))
    with Database(url, min_size=1, max_size=1) as database:
        if how == "removed":
            for op in (toggle_task(alice, task.id), get_task(alice, task.id)):
                database.run(op)
            database.run(toggle_task(alice, task.id))
            database.run(create_task(alice, TaskCreate(title="one"), idempotency_key="one"))
        backend = disturb(database, how)
        operation: dict[str, Op[TaskRead]] = {
            "create": create_task(alice, TaskCreate(title="two")),
            "get": get_task(alice, task.id),
            "toggle": toggle_task(alice, task.id),
        }
        prepares = [database.limits.server.prepare]
        database.run(operation[name])
        prepares.append(database.limits.server.prepare)
        assert prepares == [True, False]
        titles = [found.title for found in database.run(list_tasks(alice))]
        assert titles.count("two") == (name == "create")
        assert database.run(get_task(alice, task.id)).completed is (name == "toggle")
        # What the others do does not matter any more, and the connection was kept.
        assert disturb(database, how) == backend
        database.run(get_task(alice, task.id))
    assert warnings(caplog) == 1


def disturb(database: Database, how: str) -> int:
    """Do what another client of the same server connection does; return the server's process."""
    with pool_connection(database) as connection:
        for statement in OTHERS[how]:
            connection.execute(statement)
        return connection.info.backend_pid


@pytest.mark.parametrize("how", OTHERS)
async def test_awaiting_does_the_same(
    url: str, alice: str, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    with Database(url) as other:
        task = other.run(create_task(alice, TaskCreate(title="one")))
    async with AsyncDatabase(url, min_size=1, max_size=1) as database:
        if how == "removed":
            await database.run(set_task_completed(alice, task.id, False))
        async with loop_pool_connection(database) as connection:
            for statement in OTHERS[how]:
                await connection.execute(statement)
        assert (await database.run(toggle_task(alice, task.id))).completed
        assert (await database.run(get_task(alice, task.id))).completed
    assert warnings(caplog) == 1


def test_without_the_repetition_it_is_a_fault(
    url: str, alice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control."""
    monkeypatch.setattr(wire, "is_shared_statement", lambda _: False)
    for how in OTHERS:
        with Database(url, min_size=1, max_size=1) as database:
            if how == "removed":
                database.run(list_tasks(alice))
            disturb(database, how)
            with pytest.raises(DatabaseFault) as fault:
                database.run(list_tasks(alice))
        assert isinstance(fault.value.__cause__, psycopg.Error)


def test_a_statement_behind_a_refused_binding_does_not_count_as_prepared(
    own_url: str, driver: Driver, caplog: pytest.LogCaptureFixture
) -> None:
    run_sql(own_url, "INSERT INTO public.users (id) VALUES ('ada')")
    with driver(own_url, min_size=1, max_size=1, prepare=True) as run:
        run_sql(own_url, "ALTER FUNCTION pg_catalog.set_config RENAME TO away")
        with pytest.raises(DatabaseNotReady):
            run(list_tasks("ada"))
        run_sql(own_url, "ALTER FUNCTION pg_catalog.away RENAME TO set_config")
        assert run(list_tasks("ada")) == []
    # One that was missing would be taken for one that another client has removed.
    assert warnings(caplog) == 0
