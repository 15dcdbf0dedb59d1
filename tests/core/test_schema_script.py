"""The upgrade as a script for a DBA does in psql what the upgrade does online."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fix_schema import Dump, Psql, do, operations_work
from taskcore import schema

BETTER_AUTH = 'CREATE TABLE "user" ("id" text PRIMARY KEY, "emailVerified" boolean)'
ODD = 'CREATE TABLE "it\'s 100%" (id text PRIMARY KEY)'


@pytest.mark.parametrize(
    ("there", "wish", "table"),
    [
        (None, None, "users"),
        (BETTER_AUTH, None, '"user"'),
        (BETTER_AUTH, "none", None),
        (ODD, "it's 100%", '"it\'s 100%"'),
    ],
    ids=["nothing there", "Better Auth", "none", "odd name"],
)
def test_the_script_makes_the_same_schema(
    make_database: Callable[[], str],
    dump: Dump,
    psql: Psql,
    there: str | None,
    wish: str | None,
    table: str | None,
) -> None:
    """Where it does not say so itself, it chooses the users table when it runs."""
    offline, online = make_database(), make_database()
    for url in (offline, online):
        do(url, *([there] if there else []))
    done = psql(offline, schema.sql(users_table=wish))
    assert done.returncode == 0, done.stderr
    assert ("public.users was created" in done.stderr) is (there is None)

    schema.upgrade(online, users_table=wish)
    assert dump(offline) == dump(online)
    assert schema.current(offline) == schema.head()
    assert schema.check(offline) == []
    if table is not None:
        do(offline, f"INSERT INTO {table} (id) VALUES ('alice')")
    assert operations_work(offline, "alice")


def test_the_variable_goes_into_the_script(monkeypatch: pytest.MonkeyPatch) -> None:
    unset = schema.sql()
    monkeypatch.setenv("TASKCORE_USERS_TABLE", "auth.accounts")
    assert schema.sql() == unset.replace(
        "SET LOCAL taskcore.users_table = ''", "SET LOCAL taskcore.users_table = 'auth.accounts'"
    )
    assert schema.sql(users_table="") == unset


def test_a_script_that_fails_leaves_nothing(empty_url: str, dump: Dump, psql: Psql) -> None:
    do(empty_url, "CREATE TABLE users (id uuid PRIMARY KEY)")
    before = dump(empty_url)
    done = psql(empty_url, schema.sql())
    assert done.returncode == 3
    assert "public.users has an id of type uuid" in done.stderr
    assert dump(empty_url) == before

    assert psql(empty_url, schema.sql(users_table="none")).returncode == 0
    assert schema.check(empty_url) == []


def test_a_script_to_an_older_revision_stops_there(empty_url: str, psql: Psql) -> None:
    assert psql(empty_url, schema.sql("0001")).returncode == 0
    assert schema.current(empty_url) == "0001"
    schema.upgrade(empty_url)
    assert schema.check(empty_url) == []
