"""The users table is found, named by the operator, created by a migration, or not used."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import uuid4

import pytest

from support.sql import fetch_column, operations_work, run_sql
from taskcore import (
    Database,
    NotTaskOwner,
    TaskCreate,
    TaskNotFound,
    UnknownUser,
    create_task,
    get_task,
    list_tasks,
    migrations,
)

PLAIN = "CREATE TABLE users (id text PRIMARY KEY)"
BETTER_AUTH = (
    'CREATE TABLE "user" ("id" text NOT NULL PRIMARY KEY, "name" text NOT NULL DEFAULT \'\', '
    '"email" text UNIQUE, "emailVerified" boolean NOT NULL DEFAULT false, "image" text, '
    '"createdAt" timestamptz DEFAULT now() NOT NULL, "updatedAt" timestamptz DEFAULT now())'
)
NAMED = "CREATE SCHEMA auth; CREATE TABLE auth.accounts (id varchar(64) PRIMARY KEY)"
QUOTED = 'CREATE SCHEMA "My Auth"; CREATE TABLE "My Auth"."User" (id text NOT NULL UNIQUE)'
PARTED = (
    "CREATE TABLE parted (id text PRIMARY KEY) PARTITION BY HASH (id); "
    "CREATE TABLE part PARTITION OF parted FOR VALUES WITH (MODULUS 1, REMAINDER 0)"
)
MIXED = 'CREATE TABLE "Members" (id text PRIMARY KEY)'
# Columns with the names of the reason function's arguments.
SHADOW = "CREATE TABLE shadow (id text PRIMARY KEY, owner text, task uuid)"


@dataclass
class Case:
    """The existing tables, the name that is given, and the table that is adopted."""

    existing: str
    name: str | None
    table: str


ADOPTED = {
    "users": Case(PLAIN, None, "public.users"),
    "Better Auth": Case(BETTER_AUTH, None, 'public."user"'),
    "users before user": Case(f"{BETTER_AUTH}; {PLAIN}", None, "public.users"),
    "an empty name": Case(f"{BETTER_AUTH}; {PLAIN}", "", "public.users"),
    "named": Case(f"{BETTER_AUTH}; {PLAIN}", "user", 'public."user"'),
    "named, quoted": Case(f"{BETTER_AUTH}; {PLAIN}", '"user"', 'public."user"'),
    "in a schema": Case(f"{PLAIN}; {NAMED}", "auth.accounts", "auth.accounts"),
    "quoted schema": Case(QUOTED, '"My Auth"."User"', '"My Auth"."User"'),
    "mixed case": Case(MIXED, "Members", 'public."Members"'),
    "partitioned": Case(PARTED, "parted", "public.parted"),
    "shadowing": Case(SHADOW, "shadow", "public.shadow"),
}


def users_table(url: str) -> list[str]:
    """The table to which the foreign key refers."""
    return fetch_column(
        url,
        "SELECT format('%I.%I', nspname, relname) FROM pg_constraint k"
        " JOIN pg_class c ON c.oid = confrelid JOIN pg_namespace n ON n.oid = relnamespace"
        " WHERE conrelid = 'public.tasks'::regclass AND conparentid = 0 AND contype = 'f'",
    )


@pytest.mark.parametrize("case", ADOPTED.values(), ids=list(ADOPTED))
def test_a_table_is_adopted(empty_url: str, case: Case) -> None:
    run_sql(empty_url, case.existing)
    lines: list[str] = []
    migrations.upgrade(empty_url, users_table=case.name, report=lines.append)
    assert f"users table: {case.table}" in lines
    assert users_table(empty_url) == [case.table]
    assert migrations.check(empty_url) == []

    run_sql(empty_url, f"INSERT INTO {case.table} (id) VALUES ('alice')")
    assert operations_work(empty_url, "alice")
    with Database(empty_url) as database, pytest.raises(UnknownUser):
        database.run(list_tasks("unknown"))
    run_sql(empty_url, f"DELETE FROM {case.table}")
    assert fetch_column(empty_url, "SELECT count(*) FROM tasks") == [0]

    run_sql(empty_url, f"INSERT INTO {case.table} (id) VALUES ('bob')")
    migrations.downgrade(empty_url, "base")
    assert fetch_column(empty_url, f"SELECT id FROM {case.table}") == ["bob"]


@pytest.mark.parametrize("case", ADOPTED.values(), ids=list(ADOPTED))
def test_a_table_is_adopted_later(empty_url: str, case: Case) -> None:
    migrations.upgrade(empty_url, users_table="none")
    run_sql(empty_url, case.existing, f"INSERT INTO {case.table} (id) VALUES ('alice')")
    lines: list[str] = []
    migrations.adopt_users(empty_url, case.name or "", report=lines.append)
    assert f"users table: {case.table}" in lines
    assert users_table(empty_url) == [case.table]
    assert migrations.check(empty_url) == []
    assert operations_work(empty_url, "alice")
    with Database(empty_url) as database, pytest.raises(UnknownUser):
        database.run(list_tasks("unknown"))
    run_sql(empty_url, f"DELETE FROM {case.table}")
    assert fetch_column(empty_url, "SELECT count(*) FROM tasks") == [0]


def test_the_variable_names_the_table_and_the_argument_precedes_it(
    empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_sql(empty_url, PLAIN, BETTER_AUTH, *NAMED.split("; "))
    monkeypatch.setenv("TASKCORE_USERS_TABLE", "auth.accounts")
    migrations.upgrade(empty_url)
    assert users_table(empty_url) == ["auth.accounts"]
    migrations.downgrade(empty_url, "base")
    migrations.upgrade(empty_url, users_table="user")
    assert users_table(empty_url) == ['public."user"']


def test_a_missing_users_table_is_created_and_dropped_with_the_tasks(empty_url: str) -> None:
    lines: list[str] = []
    migrations.upgrade(empty_url, report=lines.append)
    assert "no users table was found: public.users was created" in lines
    assert users_table(empty_url) == ["public.users"]
    migrations.downgrade(empty_url, "base")
    assert fetch_column(empty_url, "SELECT to_regclass('public.users')") == [None]


def test_our_users_table_is_kept_while_other_tables_refer_to_it(own_url: str) -> None:
    run_sql(own_url, "CREATE TABLE invoices (payer text REFERENCES users (id))")
    lines: list[str] = []
    migrations.downgrade(own_url, "base", report=lines.append)
    assert "public.users stays: other tables refer to it" in lines
    assert fetch_column(own_url, "SELECT to_regclass('public.tasks')") == [None]
    migrations.upgrade(own_url)
    assert migrations.check(own_url) == []


@pytest.mark.parametrize("existing", [None, PLAIN])
def test_without_a_users_table_every_id_is_a_user(empty_url: str, existing: str | None) -> None:
    run_sql(empty_url, *([existing] if existing else []))
    migrations.upgrade(empty_url, users_table="none")
    assert users_table(empty_url) == []
    assert fetch_column(empty_url, "SELECT to_regclass('users') IS NOT NULL") == [
        existing is not None
    ]
    assert migrations.check(empty_url) == []
    assert operations_work(empty_url, "dave")
    with Database(empty_url) as database:
        assert database.run(list_tasks("unknown")) == []
        with pytest.raises(TaskNotFound):
            database.run(get_task("unknown", uuid4()))
        task = database.run(create_task("alice", TaskCreate(title="hers")))
        with pytest.raises(NotTaskOwner):
            database.run(get_task("unknown", task.id))
