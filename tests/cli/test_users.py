"""`users` lists, adds and deletes, for each kind of users table; it adds none to Better Auth's."""

from __future__ import annotations

import psycopg
import pytest

from support.command import Cli
from taskcore import Database, TaskCreate, create_task, list_tasks

KEYS = {"id", "email", "name", "created_at", "tasks", "completed", "last_change"}


@pytest.fixture
def better_auth_url(empty_url: str) -> str:
    """A database with Better Auth's users table and one user in it."""
    with psycopg.connect(empty_url) as connection:
        connection.execute(
            'CREATE TABLE public."user" (id text PRIMARY KEY, name text NOT NULL, '
            'email text NOT NULL UNIQUE, "emailVerified" boolean NOT NULL, '
            '"createdAt" timestamptz NOT NULL DEFAULT now())'
        )
        connection.execute(
            """INSERT INTO public."user" VALUES ('u1', 'Ada', 'ada@example.com', true)"""
        )
    return empty_url


def test_a_user_is_added_shown_listed_and_deleted(cli: Cli, own_url: str) -> None:
    made = cli("users", "add", "ada", "--email", "a@b.c", "--json", DATABASE_URL=own_url)
    assert made.code == 0
    assert set(made.json) == KEYS
    assert (made.json["id"], made.json["email"], made.json["tasks"]) == ("ada", "a@b.c", 0)
    with Database(own_url) as database:
        database.run(create_task("ada", TaskCreate(title="one", completed=True)))
        database.run(create_task("ada", TaskCreate(title="two")))
    shown = cli("users", "show", "ada", "--json", DATABASE_URL=own_url).json
    assert (shown["tasks"], shown["completed"]) == (2, 1)
    assert cli("users", "list", "--json", DATABASE_URL=own_url).json == [shown]
    dry = cli("users", "delete", "ada", "--dry-run", DATABASE_URL=own_url)
    assert dry.out == "would delete ada and 2 tasks\n"
    assert cli("users", "delete", "ada", DATABASE_URL=own_url).code == 2
    assert cli("users", "list", "--json", DATABASE_URL=own_url).json == [shown]
    assert cli("users", "delete", "ada", "--yes", DATABASE_URL=own_url).code == 0
    assert cli("users", "list", "--json", DATABASE_URL=own_url).json == []
    deleted = cli("users", "show", "ada", DATABASE_URL=own_url)
    assert (deleted.code, deleted.err) == (1, "taskcli: there is no user 'ada'\n")


def test_adding_a_user_again_changes_nothing(cli: Cli, own_url: str) -> None:
    cli("users", "add", "ada", "--name", "Ada", DATABASE_URL=own_url)
    again = cli("users", "add", "ada", "--name", "Eve", "--json", DATABASE_URL=own_url)
    assert "was there already" in again.err
    assert again.json["name"] == "Ada"


def test_a_mail_address_that_is_taken_is_refused(cli: Cli, own_url: str) -> None:
    assert cli("users", "add", "ada", "--email", "a@b.c", DATABASE_URL=own_url).code == 0
    done = cli("users", "add", "eve", "--email", "a@b.c", DATABASE_URL=own_url)
    assert done.code == 2
    assert "does not take this" in done.err


@pytest.mark.parametrize("bad", ["", "x" * 256])
def test_an_id_that_no_user_can_have_is_wrong_use(cli: Cli, url: str, bad: str) -> None:
    assert cli("users", "add", bad, DATABASE_URL=url).code == 2


def test_after_continues_a_list(cli: Cli, own_url: str) -> None:
    with psycopg.connect(own_url) as connection:
        connection.execute("INSERT INTO public.users SELECT 'u' || n FROM generate_series(1, 5) n")
    first = cli("users", "list", "--limit", 3, "--json", DATABASE_URL=own_url)
    assert "--after u3" in first.err
    rest = cli("users", "list", "--limit", 3, "--after", "u3", "--json", DATABASE_URL=own_url)
    assert [user["id"] for user in first.json + rest.json] == ["u1", "u2", "u3", "u4", "u5"]
    assert rest.err == ""


def test_users_of_better_auth_are_listed_and_none_is_added(cli: Cli, better_auth_url: str) -> None:
    cli("migrate", DATABASE_URL=better_auth_url)
    shown = cli("users", "show", "u1", "--json", DATABASE_URL=better_auth_url).json
    assert (shown["email"], shown["name"]) == ("ada@example.com", "Ada")
    assert shown["created_at"].endswith("Z")
    refused = cli("users", "add", "u2", DATABASE_URL=better_auth_url)
    assert refused.code == 1
    assert "belongs to another program (Better Auth): sign up there" in refused.err
    assert len(cli("users", "list", "--json", DATABASE_URL=better_auth_url).json) == 1


def test_another_table_is_adopted(cli: Cli, better_auth_url: str) -> None:
    with psycopg.connect(better_auth_url) as connection:
        connection.execute("CREATE TABLE public.users (id text PRIMARY KEY)")
    cli("migrate", DATABASE_URL=better_auth_url)
    assert cli("users", "list", "--json", DATABASE_URL=better_auth_url).json == []
    done = cli("users", "adopt", 'public."user"', DATABASE_URL=better_auth_url)
    assert done.code == 0
    listed = cli("users", "list", "--json", DATABASE_URL=better_auth_url).json
    assert [user["id"] for user in listed] == ["u1"]
    with Database(better_auth_url) as database:
        assert database.run(list_tasks("u1")) == []
    missing = cli("users", "adopt", "nowhere", DATABASE_URL=better_auth_url)
    assert missing.code == 1
    assert "nowhere does not exist" in missing.err


def test_without_a_users_table_every_owner_of_tasks_is_a_user(cli: Cli, empty_url: str) -> None:
    cli("migrate", DATABASE_URL=empty_url, TASKCORE_USERS_TABLE="none")
    with Database(empty_url) as database:
        database.run(create_task("ada", TaskCreate(title="one")))
    assert [u["id"] for u in cli("users", "list", "--json", DATABASE_URL=empty_url).json] == ["ada"]
    refused = cli("users", "add", "eve", DATABASE_URL=empty_url)
    assert "kept in another database" in refused.err
    assert cli("users", "delete", "ada", "--yes", DATABASE_URL=empty_url).code == 0
    assert cli("users", "list", "--json", DATABASE_URL=empty_url).json == []
