"""A database error becomes one of ours: the driver's is its cause, its text is not in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from support.drivers import DRIVERS, RUNNERS
from taskcore import (
    DatabaseFault,
    DatabaseNotReady,
    DatabaseUnavailable,
    Op,
    TaskcoreError,
    TaskCreate,
    TaskNotFound,
    create_task,
    embedded,
    get_task,
    list_tasks,
    migrations,
)
from taskcore.errors import SchemaMissing, TenantRoleMissing, TenantRoleRefused

OWNER = "user_1"
CREATE = TaskCreate(title="s3cret")


def is_ours(error: TaskcoreError, sqlstate: str) -> bool:
    assert str(error) == type(error).__doc__
    assert isinstance(error.__cause__, Exception)
    assert getattr(error.__cause__, "sqlstate", None) == sqlstate
    return True


def change(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute("SET default_transaction_read_only = off")
        for statement in statements:
            admin.execute(statement.replace("{database}", admin.info.dbname).encode())


BREAKS: dict[str, tuple[str, str, Callable[[], Op[Any]], str, type[TaskcoreError]]] = {
    "table": (
        "ALTER TABLE tasks RENAME TO gone",
        "ALTER TABLE gone RENAME TO tasks",
        lambda: list_tasks(OWNER),
        "42P01",
        SchemaMissing,
    ),
    "column": (
        "ALTER TABLE tasks RENAME title TO gone",
        "ALTER TABLE tasks RENAME gone TO title",
        lambda: list_tasks(OWNER),
        "42703",
        SchemaMissing,
    ),
    "function": (
        "ALTER FUNCTION taskcore_why_missed RENAME TO gone",
        "ALTER FUNCTION gone RENAME TO taskcore_why_missed",
        lambda: list_tasks(OWNER),
        "42883",
        SchemaMissing,
    ),
    "unforeseen": (
        "ALTER TABLE tasks ADD CONSTRAINT unforeseen CHECK (title <> 's3cret')",
        "ALTER TABLE tasks DROP CONSTRAINT unforeseen",
        lambda: create_task(OWNER, CREATE),
        "23514",
        DatabaseFault,
    ),
    "read-only": (
        "ALTER DATABASE {database} SET default_transaction_read_only = on",
        "ALTER DATABASE {database} RESET default_transaction_read_only",
        lambda: create_task(OWNER, CREATE),
        "25006",
        DatabaseUnavailable,
    ),
}


@pytest.mark.parametrize("name", BREAKS)
def test_what_is_broken_has_a_name_and_heals(name: str, own_url: str) -> None:
    spoil, mend, make, sqlstate, expected = BREAKS[name]
    change(own_url, f"INSERT INTO users (id) VALUES ('{OWNER}')")
    for runner in RUNNERS.values():
        change(own_url, spoil)
        with runner(own_url) as run, pytest.raises(expected) as raised:
            run(make())
        assert type(raised.value) is expected
        assert is_ours(raised.value, sqlstate)
        # A connection of its own: a database's settings hold for new ones.
        change(own_url, mend)
        with runner(own_url) as run:
            run(make())
        change(own_url, "DELETE FROM tasks")


def test_a_read_only_database_still_reads(own_url: str) -> None:
    change(own_url, f"INSERT INTO users (id) VALUES ('{OWNER}')", BREAKS["read-only"][0])
    for runner in RUNNERS.values():
        with runner(own_url) as run:
            assert run(list_tasks(OWNER)) == []


def test_the_drivers_keep_the_row_out_of_the_cause_as_well(own_url: str) -> None:
    change(own_url, f"INSERT INTO users (id) VALUES ('{OWNER}')", BREAKS["unforeseen"][0])
    # Where it is on, the server itself keeps the row to itself.
    change(own_url, "ALTER TABLE tasks DISABLE ROW LEVEL SECURITY")
    with psycopg.connect(own_url) as admin, pytest.raises(psycopg.Error) as control:
        admin.execute(
            "INSERT INTO tasks (user_id, id, title) VALUES (%s, gen_random_uuid(), 's3cret')",
            [OWNER],
        )
    assert "s3cret" in str(control.value), "the database does quote the row"
    for driver in DRIVERS.values():
        with driver(own_url) as run, pytest.raises(DatabaseFault) as raised:
            run(create_task(OWNER, CREATE))
        assert "s3cret" not in str(raised.value.__cause__)


def test_the_tenants_role_is_missing_refused_or_there(cluster: embedded.Server) -> None:
    change(cluster.url, "CREATE ROLE app LOGIN PASSWORD 'app'", "CREATE DATABASE app_db")
    owner_url = cluster.url_for("app_db")
    login = psycopg.conninfo.conninfo_to_dict(owner_url)
    app_url = f"postgresql://app:app@{login['host']}:{login['port']}/app_db"
    absent = get_task(OWNER, create_task(OWNER, CREATE).args[0])  # type: ignore[arg-type]

    def all_ways(url: str, expected: type[TaskcoreError], sqlstate: str | None) -> None:
        for runner in RUNNERS.values():
            with runner(url) as run, pytest.raises(expected) as raised:
                run(absent)
            assert sqlstate is None or is_ours(raised.value, sqlstate)
            assert isinstance(raised.value, DatabaseNotReady) is (sqlstate is not None)

    all_ways(owner_url, TenantRoleMissing, "22023")
    migrations.upgrade(owner_url)
    change(owner_url, f"INSERT INTO users (id) VALUES ('{OWNER}')")
    all_ways(owner_url, TaskNotFound, None)
    all_ways(app_url, TenantRoleRefused, "42501")
    change(owner_url, "GRANT taskcore_tenant TO app")
    all_ways(app_url, TaskNotFound, None)
