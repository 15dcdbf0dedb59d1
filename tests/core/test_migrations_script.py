"""The upgrade as a script for a DBA does in psql what the upgrade does online."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from support.schema_dump import Dump, Psql
from support.sql import operations_work, run_sql
from taskcore import migrations

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
        run_sql(url, *([there] if there else []))
    done = psql(offline, migrations.sql(users_table=wish))
    assert done.returncode == 0, done.stderr
    assert ("public.users was created" in done.stderr) is (there is None)

    migrations.upgrade(online, users_table=wish)
    assert dump(offline) == dump(online)
    assert migrations.current(offline) == migrations.head()
    assert migrations.check(offline) == []
    if table is not None:
        run_sql(offline, f"INSERT INTO {table} (id) VALUES ('alice')")
    assert operations_work(offline, "alice")


def test_the_variable_goes_into_the_script(monkeypatch: pytest.MonkeyPatch) -> None:
    unset = migrations.sql()
    monkeypatch.setenv("TASKCORE_USERS_TABLE", "auth.accounts")
    assert migrations.sql() == unset.replace(
        "SET LOCAL taskcore.users_table = ''", "SET LOCAL taskcore.users_table = 'auth.accounts'"
    )
    assert migrations.sql(users_table="") == unset


def test_a_script_that_fails_leaves_nothing(empty_url: str, dump: Dump, psql: Psql) -> None:
    run_sql(empty_url, "CREATE TABLE users (id uuid PRIMARY KEY)")
    before = dump(empty_url)
    done = psql(empty_url, migrations.sql())
    assert done.returncode == 3
    assert "public.users has an id of type uuid" in done.stderr
    assert dump(empty_url) == before

    assert psql(empty_url, migrations.sql(users_table="none")).returncode == 0
    assert migrations.check(empty_url) == []


def test_a_script_to_an_older_revision_stops_there(empty_url: str, psql: Psql) -> None:
    assert psql(empty_url, migrations.sql("0001")).returncode == 0
    assert migrations.current(empty_url) == "0001"
    migrations.upgrade(empty_url)
    assert migrations.check(empty_url) == []
