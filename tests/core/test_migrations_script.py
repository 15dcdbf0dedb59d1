"""The upgrade as a script makes the same schema in psql as the upgrade online."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from support.schema_dump import Dump, Psql
from support.sql import operations_work, run_sql
from taskcore import migrations

BETTER_AUTH = 'CREATE TABLE "user" ("id" text PRIMARY KEY, "emailVerified" boolean)'
ODD = 'CREATE TABLE "it\'s 100%" (id text PRIMARY KEY)'


@pytest.mark.parametrize(
    ("existing", "chosen", "table"),
    [
        (None, None, "users"),
        (BETTER_AUTH, None, '"user"'),
        (BETTER_AUTH, "none", None),
        (ODD, "it's 100%", '"it\'s 100%"'),
    ],
    ids=["no users table", "Better Auth", "none", "odd name"],
)
def test_the_script_makes_the_same_schema(
    make_database: Callable[[], str],
    dump: Dump,
    psql: Psql,
    existing: str | None,
    chosen: str | None,
    table: str | None,
) -> None:
    """A script that names no users table chooses one when it runs."""
    offline, online = make_database(), make_database()
    for url in (offline, online):
        run_sql(url, *([existing] if existing else []))
    done = psql(offline, migrations.sql(users_table=chosen))
    assert done.returncode == 0, done.stderr
    assert ("public.users was created" in done.stderr) is (existing is None)

    migrations.upgrade(online, users_table=chosen)
    assert dump(offline) == dump(online)
    assert migrations.current(offline) == migrations.head()
    assert migrations.check(offline) == []
    if table is not None:
        run_sql(offline, f"INSERT INTO {table} (id) VALUES ('alice')")
    assert operations_work(offline, "alice")


def test_the_script_names_the_users_table_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unset = migrations.sql()
    monkeypatch.setenv("TASKCORE_USERS_TABLE", "auth.accounts")
    assert migrations.sql() == unset.replace(
        "SET LOCAL taskcore.users_table = ''", "SET LOCAL taskcore.users_table = 'auth.accounts'"
    )
    assert migrations.sql(users_table="") == unset


def test_a_failed_script_changes_nothing(empty_url: str, dump: Dump, psql: Psql) -> None:
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
