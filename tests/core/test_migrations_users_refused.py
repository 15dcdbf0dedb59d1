"""A users table to which no foreign key can refer is refused before anything is changed."""

from __future__ import annotations

import pytest

from support.schema_dump import Dump
from support.sql import fetch_column, run_sql
from taskcore import migrations
from taskcore.errors import MigrationFailed, UsersTableRefused

VIEW = "CREATE TABLE people (id text PRIMARY KEY); CREATE VIEW users AS SELECT id FROM people"
# The existing tables, the name that is given, and a part of the message.
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


@pytest.mark.parametrize(("existing", "name", "why"), REFUSED.values(), ids=list(REFUSED))
def test_an_unusable_users_table_is_refused_and_nothing_is_changed(
    empty_url: str, dump: Dump, existing: str, name: str | None, why: str
) -> None:
    run_sql(empty_url, existing)
    before = dump(empty_url)
    with pytest.raises(UsersTableRefused) as refused:
        migrations.upgrade(empty_url, users_table=name)
    assert why in str(refused.value)
    assert str(refused.value).endswith("; nothing was changed")
    assert dump(empty_url) == before
    assert migrations.current(empty_url) is None

    # Control: without that users table the upgrade succeeds.
    migrations.upgrade(empty_url, users_table="none")
    assert migrations.check(empty_url) == []


@pytest.mark.parametrize(("existing", "name", "why"), REFUSED.values(), ids=list(REFUSED))
def test_an_adoption_refuses_an_unusable_users_table_too(
    empty_url: str, dump: Dump, existing: str, name: str | None, why: str
) -> None:
    """Its script is not the revision's: a revision is history."""
    migrations.upgrade(empty_url, users_table="none")
    run_sql(empty_url, existing)
    before = dump(empty_url)
    with pytest.raises(UsersTableRefused) as refused:
        migrations.adopt_users(empty_url, name or "")
    assert why in str(refused.value)
    assert dump(empty_url) == before

    # Control: with a usable table the adoption succeeds.
    run_sql(empty_url, "CREATE TABLE usable (id text PRIMARY KEY)")
    migrations.adopt_users(empty_url, "usable")
    assert migrations.check(empty_url) == []


def test_a_tasks_table_that_is_not_ours_is_not_changed(empty_url: str, dump: Dump) -> None:
    run_sql(empty_url, "CREATE TABLE tasks (id int)", "INSERT INTO tasks VALUES (7)")
    before = dump(empty_url)
    with pytest.raises(MigrationFailed, match="exists already, and is not ours"):
        migrations.upgrade(empty_url)
    assert dump(empty_url) == before
    assert fetch_column(empty_url, "SELECT id FROM tasks") == [7]

    run_sql(empty_url, "ALTER TABLE tasks RENAME TO errands")
    migrations.upgrade(empty_url)
