"""Existing tasks can be tied to another users table, in one transaction."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from support.hostile_login import HostileLogin
from support.schema_dump import Dump
from support.sql import fetch_column, operations_work, run_sql
from taskcore import Database, SchemaError, UnknownUser, list_tasks, migrations
from taskcore.embedded import Server
from taskcore.errors import UsersTableRefused

BETTER_AUTH = 'CREATE TABLE "user" (id text PRIMARY KEY)'
TARGET = (
    "SELECT confrelid::regclass::text FROM pg_constraint WHERE conrelid = 'tasks'::regclass "
    "AND contype = 'f'"
)


@pytest.fixture
def tasks_url(own_url: str) -> str:
    """A database in which alice has a task, with a second users table that is empty."""
    run_sql(own_url, "INSERT INTO users (id) VALUES ('alice')", BETTER_AUTH)
    assert operations_work(own_url, "alice")
    return own_url


def test_adopting_moves_the_foreign_key_and_the_function(tasks_url: str) -> None:
    run_sql(tasks_url, "INSERT INTO \"user\" VALUES ('alice'), ('carol')")
    with Database(tasks_url) as database, pytest.raises(UnknownUser):
        database.run(list_tasks("carol"))
    migrations.adopt_users(tasks_url, "user")
    assert fetch_column(tasks_url, TARGET) == ['"user"']
    assert migrations.check(tasks_url) == []
    assert operations_work(tasks_url, "carol")
    with Database(tasks_url) as database:
        assert len(database.run(list_tasks("alice"))) == 1
    run_sql(tasks_url, "DELETE FROM \"user\" WHERE id = 'alice'")
    assert fetch_column(tasks_url, "SELECT user_id FROM tasks") == ["carol"]


def test_a_users_table_without_an_owner_of_tasks_is_refused(tasks_url: str, dump: Dump) -> None:
    before = dump(tasks_url)
    with pytest.raises(UsersTableRefused, match="does not know the owners of 1 tasks"):
        migrations.adopt_users(tasks_url, "user")
    assert dump(tasks_url) == before
    run_sql(tasks_url, "INSERT INTO \"user\" VALUES ('alice')")
    migrations.adopt_users(tasks_url, "user")


def test_adopting_no_table_and_back_restores_the_schema(tasks_url: str, dump: Dump) -> None:
    before = dump(tasks_url)
    migrations.adopt_users(tasks_url, "none")
    assert fetch_column(tasks_url, TARGET) == []
    assert migrations.check(tasks_url) == []
    assert operations_work(tasks_url, "dave")
    with pytest.raises(UsersTableRefused, match="does not know the owners of 1 tasks"):
        migrations.adopt_users(tasks_url, "users")
    run_sql(tasks_url, "INSERT INTO users (id) VALUES ('dave')")
    migrations.adopt_users(tasks_url, "users")
    assert dump(tasks_url) == before


def test_another_foreign_key_of_tasks_is_kept(tasks_url: str) -> None:
    run_sql(
        tasks_url,
        "CREATE TABLE aardvarks (id text PRIMARY KEY)",
        "ALTER TABLE tasks ADD CONSTRAINT aaa FOREIGN KEY (description) REFERENCES aardvarks",
        "INSERT INTO \"user\" VALUES ('alice')",
    )
    migrations.adopt_users(tasks_url, "user")
    assert sorted(fetch_column(tasks_url, TARGET)) == ['"user"', "aardvarks"]
    assert [line.partition(" on ")[0] for line in migrations.check(tasks_url)] == ["constraint aaa"]
    assert operations_work(tasks_url, "alice")


def test_a_schema_that_is_behind_is_refused(own_url: str) -> None:
    migrations.downgrade(own_url, "0001")
    with pytest.raises(SchemaError, match="not at its head"):
        migrations.adopt_users(own_url, "none")
    assert fetch_column(own_url, TARGET) == ["users"]
    migrations.upgrade(own_url)
    migrations.adopt_users(own_url, "none")
    assert fetch_column(own_url, TARGET) == []


@pytest.mark.parametrize("table", ["public.accounts", 'auth."Accounts"', '"My Auth".accounts'])
@pytest.mark.parametrize("how", ["upgrade", "adopt_users"])
def test_the_refusal_of_another_roles_table_names_the_missing_grant(
    roles: Server,
    make_login: Callable[[str, str], None],
    make_owned: Callable[[str], str],
    table: str,
    how: str,
) -> None:
    make_login("owner", "CREATEROLE")
    url = make_owned("owner")
    as_superuser = roles.url_for(url.rpartition("/")[2])
    name = table.rpartition(".")[0]
    run_sql(as_superuser, f"CREATE SCHEMA IF NOT EXISTS {name}")
    run_sql(as_superuser, f"CREATE TABLE {table} (id text PRIMARY KEY)")
    run_sql(as_superuser, f"INSERT INTO {table} VALUES ('alice')")
    act = partial(migrations.upgrade, users_table=table)
    if how == "adopt_users":
        migrations.upgrade(url)
        act = partial(migrations.adopt_users, table=table)

    at = migrations.current(url)
    for _ in range(1 if name == "public" else 2):  # the schema first, then the table
        with pytest.raises(UsersTableRefused, match="belongs to another role") as refused:
            act(url)
        assert migrations.current(url) == at
        grant = str(refused.value).partition("has to run: ")[2].partition(";")[0]
        run_sql(as_superuser, grant)
    act(url)
    assert migrations.check(url) == []
    assert operations_work(url, "alice")
    run_sql(as_superuser, f"DELETE FROM {table}")
    assert fetch_column(url, "SELECT count(*) FROM tasks") == [0]


@pytest.mark.parametrize("granted", ["REFERENCES", "SELECT"])
def test_one_of_the_two_grants_is_not_enough(
    roles: Server,
    make_login: Callable[[str, str], None],
    make_owned: Callable[[str], str],
    granted: str,
) -> None:
    make_login("owner", "CREATEROLE")
    url = make_owned("owner")
    as_superuser = roles.url_for(url.rpartition("/")[2])
    run_sql(
        as_superuser,
        "CREATE TABLE accounts (id text PRIMARY KEY)",
        f"GRANT {granted} ON accounts TO owner",
    )
    migrations.upgrade(url, users_table="none")
    with pytest.raises(UsersTableRefused, match="GRANT REFERENCES, SELECT ON"):
        migrations.adopt_users(url, "accounts")
    run_sql(as_superuser, "GRANT REFERENCES, SELECT ON accounts TO owner")
    migrations.adopt_users(url, "accounts")
    assert fetch_column(url, TARGET) == ["accounts"]


@pytest.mark.parametrize("table", ["users", '"user"'])
def test_another_logins_table_is_adopted_only_by_name(hostile: HostileLogin, table: str) -> None:
    url, lines = hostile.owner_url, list[str]()
    migrations.upgrade(url, users_table="none")
    run_sql(
        hostile.url,
        f"CREATE TABLE public.{table} (id text PRIMARY KEY)",
        f"GRANT ALL ON public.{table} TO PUBLIC",
    )
    with pytest.raises(UsersTableRefused, match=f"belongs to the login {hostile.name}"):
        migrations.adopt_users(url, "")
    assert fetch_column(url, TARGET) == []
    migrations.adopt_users(url, f"public.{table}", report=lines.append)
    warning = f"the users table public.{table} belongs to the login {hostile.name}, which can"
    assert [line.partition(" delete")[0] for line in lines] == [
        f"users table: public.{table}",
        warning,
    ]

    # Control: a table of the login that migrates is adopted without a warning.
    lines.clear()
    run_sql(url, "CREATE TABLE own (id text PRIMARY KEY)")
    migrations.adopt_users(url, "own", report=lines.append)
    assert lines == ["users table: public.own"]
