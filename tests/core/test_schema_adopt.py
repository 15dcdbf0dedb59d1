"""Tasks that are there can be pointed at another users table, in one step or not at all."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from fix_schema import Dump, ask, do, operations_work
from taskcore import Database, SchemaError, UnknownUser, list_tasks, schema
from taskcore.embedded import Server
from taskcore.errors import UsersTableRefused

BETTER_AUTH = 'CREATE TABLE "user" (id text PRIMARY KEY)'
TARGET = (
    "SELECT confrelid::regclass::text FROM pg_constraint WHERE conrelid = 'tasks'::regclass "
    "AND contype = 'f'"
)


@pytest.fixture
def tasks_url(own_url: str) -> str:
    """Alice has a task; another users table is there, and empty."""
    do(own_url, "INSERT INTO users (id) VALUES ('alice')", BETTER_AUTH)
    assert operations_work(own_url, "alice")
    return own_url


def test_foreign_key_and_function_move_together(tasks_url: str) -> None:
    do(tasks_url, "INSERT INTO \"user\" VALUES ('alice'), ('carol')")
    with Database(tasks_url) as database, pytest.raises(UnknownUser):
        database.run(list_tasks("carol"))
    schema.adopt_users(tasks_url, "user")
    assert ask(tasks_url, TARGET) == ['"user"']
    assert schema.check(tasks_url) == []
    assert operations_work(tasks_url, "carol")
    with Database(tasks_url) as database:
        assert len(database.run(list_tasks("alice"))) == 1
    do(tasks_url, "DELETE FROM \"user\" WHERE id = 'alice'")
    assert ask(tasks_url, "SELECT user_id FROM tasks") == ["carol"]


def test_a_table_that_misses_owners_is_refused(tasks_url: str, dump: Dump) -> None:
    before = dump(tasks_url)
    with pytest.raises(UsersTableRefused, match="does not know the owners of 1 tasks"):
        schema.adopt_users(tasks_url, "user")
    assert dump(tasks_url) == before
    do(tasks_url, "INSERT INTO \"user\" VALUES ('alice')")
    schema.adopt_users(tasks_url, "user")


def test_to_no_table_and_back(tasks_url: str, dump: Dump) -> None:
    before = dump(tasks_url)
    schema.adopt_users(tasks_url, "none")
    assert ask(tasks_url, TARGET) == []
    assert schema.check(tasks_url) == []
    assert operations_work(tasks_url, "whoever")
    with pytest.raises(UsersTableRefused, match="does not know the owners of 1 tasks"):
        schema.adopt_users(tasks_url, "users")
    do(tasks_url, "INSERT INTO users (id) VALUES ('whoever')")
    schema.adopt_users(tasks_url, "users")
    assert dump(tasks_url) == before


def test_a_foreign_key_of_others_is_left_alone(tasks_url: str) -> None:
    do(
        tasks_url,
        "CREATE TABLE aardvarks (id text PRIMARY KEY)",
        "ALTER TABLE tasks ADD CONSTRAINT aaa FOREIGN KEY (description) REFERENCES aardvarks",
        "INSERT INTO \"user\" VALUES ('alice')",
    )
    schema.adopt_users(tasks_url, "user")
    assert sorted(ask(tasks_url, TARGET)) == ['"user"', "aardvarks"]
    assert [line.partition(" on ")[0] for line in schema.check(tasks_url)] == ["constraint aaa"]
    assert operations_work(tasks_url, "alice")


def test_a_schema_that_is_behind_is_refused(own_url: str) -> None:
    schema.downgrade(own_url, "0001")
    with pytest.raises(SchemaError, match="not at its head"):
        schema.adopt_users(own_url, "none")
    assert ask(own_url, TARGET) == ["users"]
    schema.upgrade(own_url)
    schema.adopt_users(own_url, "none")
    assert ask(own_url, TARGET) == []


@pytest.mark.parametrize("table", ["public.accounts", 'auth."Accounts"', '"My Auth".accounts'])
@pytest.mark.parametrize("how", ["upgrade", "adopt_users"])
def test_a_table_of_another_role_carries_the_grant_that_it_needs(
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
    do(as_superuser, f"CREATE SCHEMA IF NOT EXISTS {name}")
    do(as_superuser, f"CREATE TABLE {table} (id text PRIMARY KEY)")
    do(as_superuser, f"INSERT INTO {table} VALUES ('alice')")
    act = partial(schema.upgrade, users_table=table)
    if how == "adopt_users":
        schema.upgrade(url)
        act = partial(schema.adopt_users, table=table)

    at = schema.current(url)
    for _ in range(1 if name == "public" else 2):  # the schema first, then the table
        with pytest.raises(UsersTableRefused, match="belongs to another role") as refused:
            act(url)
        assert schema.current(url) == at
        grant = str(refused.value).partition("has to run: ")[2].partition(";")[0]
        do(as_superuser, grant)
    act(url)
    assert schema.check(url) == []
    assert operations_work(url, "alice")
    do(as_superuser, f"DELETE FROM {table}")
    assert ask(url, "SELECT count(*) FROM tasks") == [0]
