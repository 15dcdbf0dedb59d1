"""A driver's error becomes one of ours: it is kept as the cause, and its text is left out."""

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
def test_each_fault_of_a_schema_has_its_error_and_can_be_repaired(name: str, own_url: str) -> None:
    fault, repair, make, sqlstate, expected = BREAKS[name]
    change(own_url, f"INSERT INTO users (id) VALUES ('{OWNER}')")
    for runner in RUNNERS.values():
        change(own_url, fault)
        with runner(own_url) as run, pytest.raises(expected) as raised:
            run(make())
        assert type(raised.value) is expected
        assert is_ours(raised.value, sqlstate)
        # A new connection, because a database's settings apply to new ones only.
        change(own_url, repair)
        with runner(own_url) as run:
            run(make())
        change(own_url, "DELETE FROM tasks")


def test_a_read_only_database_still_reads(own_url: str) -> None:
    change(own_url, f"INSERT INTO users (id) VALUES ('{OWNER}')", BREAKS["read-only"][0])
    for runner in RUNNERS.values():
        with runner(own_url) as run:
            assert run(list_tasks(OWNER)) == []


def test_the_cause_of_an_error_does_not_quote_the_row(own_url: str) -> None:
    change(own_url, f"INSERT INTO users (id) VALUES ('{OWNER}')", BREAKS["unforeseen"][0])
    # With row-level security on, PostgreSQL itself does not quote the row.
    change(own_url, "ALTER TABLE tasks DISABLE ROW LEVEL SECURITY")
    with psycopg.connect(own_url) as admin, pytest.raises(psycopg.Error) as control:
        admin.execute(
            "INSERT INTO tasks (user_id, id, title) VALUES (%s, gen_random_uuid(), 's3cret')",
            [OWNER],
        )
    assert "s3cret" in str(control.value), "PostgreSQL did not quote the row"
    for driver in DRIVERS.values():
        with driver(own_url) as run, pytest.raises(DatabaseFault) as raised:
            run(create_task(OWNER, CREATE))
        assert "s3cret" not in str(raised.value.__cause__)


def test_each_state_of_the_tenant_role_has_its_error(cluster: embedded.Server) -> None:
    change(cluster.url, "CREATE ROLE app LOGIN PASSWORD 'app'", "CREATE DATABASE app_db")
    owner_url = cluster.url_for("app_db")
    login = psycopg.conninfo.conninfo_to_dict(owner_url)
    app_url = f"postgresql://app:app@{login['host']}:{login['port']}/app_db"
    absent = get_task(OWNER, create_task(OWNER, CREATE).args[0])  # type: ignore[arg-type]

    def expect(url: str, expected: type[TaskcoreError], sqlstate: str | None) -> None:
        for runner in RUNNERS.values():
            with runner(url) as run, pytest.raises(expected) as raised:
                run(absent)
            assert sqlstate is None or is_ours(raised.value, sqlstate)
            assert isinstance(raised.value, DatabaseNotReady) is (sqlstate is not None)

    expect(owner_url, TenantRoleMissing, "22023")
    migrations.upgrade(owner_url)
    change(owner_url, f"INSERT INTO users (id) VALUES ('{OWNER}')")
    expect(owner_url, TaskNotFound, None)
    expect(app_url, TenantRoleRefused, "42501")
    change(owner_url, "GRANT taskcore_tenant TO app")
    expect(app_url, TaskNotFound, None)
