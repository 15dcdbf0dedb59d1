"""The check reports nothing for a fresh upgrade, changes nothing and blocks no writer."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import psycopg
import pytest

from support.schema_dump import Dump
from support.sql import run_sql
from taskcore import migrations


def test_a_fresh_upgrade_has_no_differences(own_url: str) -> None:
    assert migrations.check(own_url) == []


def test_default_privileges_of_the_database_are_no_difference(empty_url: str) -> None:
    """They are for tables that are made later: those of the migration, and those of the check."""
    run_sql(
        empty_url,
        "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC",
        "CREATE TABLE users (id text PRIMARY KEY)",
    )
    migrations.upgrade(empty_url)
    assert migrations.check(empty_url) == []
    run_sql(empty_url, "GRANT SELECT ON tasks TO PUBLIC")
    assert migrations.check(empty_url) == [
        "grants on tasks to PUBLIC is not expected: SELECT",
    ]


def test_the_check_changes_nothing(own_url: str, dump: Dump) -> None:
    run_sql(own_url, "ALTER TABLE tasks DROP COLUMN description")
    before = dump(own_url)
    assert migrations.check(own_url) != []
    assert dump(own_url) == before
    assert migrations.check(own_url) == migrations.check(own_url)


@pytest.mark.usefixtures("url")  # this database uses the role, so no other one drops it
def test_the_check_reports_how_far_the_schema_is_behind(empty_url: str) -> None:
    migrations.upgrade(empty_url, "0001")
    found = migrations.check(empty_url)
    assert found[0] == "the schema is at 0001, not at 0004"
    assert "policy taskcore_owner is missing" in found
    migrations.downgrade(empty_url, "base")
    assert migrations.check(empty_url)[0] == "the schema is at nothing, not at 0004"
    migrations.upgrade(empty_url)
    assert migrations.check(empty_url) == []


@pytest.mark.usefixtures("url")
def test_the_check_of_an_empty_database_reports_the_missing_table(empty_url: str) -> None:
    assert migrations.check(empty_url) == [
        "the schema is at nothing, not at 0004",
        "table tasks is missing",
    ]


def test_concurrent_checks_find_nothing(own_url: str) -> None:
    barrier = Barrier(4)

    def check(url: str) -> list[str]:
        barrier.wait(60)
        return migrations.check(url)

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(check, [own_url] * 4, timeout=60)) == [[]] * 4


def test_the_check_blocks_no_writer(own_url: str) -> None:
    """Lock conflicts are symmetric: a check that blocked writers would wait for this one."""
    with ThreadPoolExecutor(1) as thread, psycopg.connect(own_url) as writer:
        writer.execute("LOCK TABLE tasks, users, taskcore_version IN ROW EXCLUSIVE MODE")
        assert thread.submit(migrations.check, own_url).result(60) == []
        with pytest.raises(psycopg.errors.LockNotAvailable):
            run_sql(own_url, "BEGIN; LOCK TABLE tasks IN SHARE MODE NOWAIT; COMMIT")
