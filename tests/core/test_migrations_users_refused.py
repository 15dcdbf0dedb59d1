"""A users table that can't carry the foreign key is refused before anything is changed."""

from __future__ import annotations

import pytest

from support.schema_dump import Dump
from support.sql import fetch_column, run_sql
from taskcore import migrations
from taskcore.errors import MigrationFailed, UsersTableRefused

VIEW = "CREATE TABLE people (id text PRIMARY KEY); CREATE VIEW users AS SELECT id FROM people"
# What is there, what is wished, and what the refusal says.
REFUSED = {
    "uuid": ("CREATE TABLE users (id uuid PRIMARY KEY)", None, "has an id of type uuid"),
    "serial": ("CREATE TABLE users (id serial PRIMARY KEY)", None, "has an id of type integer"),
    "user of uuid": ('CREATE TABLE "user" (id uuid PRIMARY KEY)', None, 'public."user" has an id'),
    "no id": ("CREATE TABLE users (name text PRIMARY KEY)", None, "has no column id"),
    "no key": ("CREATE TABLE users (id text)", None, "has no primary key or unique"),
    "wide key": ("CREATE TABLE users (id text, x int, UNIQUE (id, x))", None, "no primary key"),
    "partial key": (
        "CREATE TABLE users (id text); CREATE UNIQUE INDEX ON users (id) WHERE id <> ''",
        None,
        "has no primary key or unique",
    ),
    "late key": (
        "CREATE TABLE users (id text UNIQUE DEFERRABLE INITIALLY DEFERRED)",
        None,
        "has no primary key or unique",
    ),
    "view": (VIEW, None, "users is not a table"),
    "missing": ("SELECT 1", "accounts", "accounts does not exist"),
    "missing schema": ("SELECT 1", "auth.accounts", "auth.accounts does not exist"),
    "no name": ("SELECT 1", "a..b", "a..b does not exist"),
    "not escaped": ("SELECT 1", "'; DROP TABLE x; --", "does not exist"),
}


@pytest.mark.parametrize(("there", "wish", "why"), REFUSED.values(), ids=list(REFUSED))
def test_it_is_refused_and_nothing_is_left(
    empty_url: str, dump: Dump, there: str, wish: str | None, why: str
) -> None:
    run_sql(empty_url, there)
    before = dump(empty_url)
    with pytest.raises(UsersTableRefused) as refused:
        migrations.upgrade(empty_url, users_table=wish)
    assert why in str(refused.value)
    assert str(refused.value).endswith("; nothing was changed")
    assert dump(empty_url) == before
    assert migrations.current(empty_url) is None

    # The control: it is the table that is refused.
    migrations.upgrade(empty_url, users_table="none")
    assert migrations.check(empty_url) == []


def test_tasks_of_others_are_not_touched(empty_url: str, dump: Dump) -> None:
    run_sql(empty_url, "CREATE TABLE tasks (id int)", "INSERT INTO tasks VALUES (7)")
    before = dump(empty_url)
    with pytest.raises(MigrationFailed, match="exists already, and is not ours"):
        migrations.upgrade(empty_url)
    assert dump(empty_url) == before
    assert fetch_column(empty_url, "SELECT id FROM tasks") == [7]

    run_sql(empty_url, "ALTER TABLE tasks RENAME TO errands")
    migrations.upgrade(empty_url)
