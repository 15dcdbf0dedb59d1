"""A migration gives up on a lock and names its holder; a killed migration changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import psycopg
import pytest

from support.polling import wait_until
from support.schema_dump import Dump
from support.sql import fetch_column, operations_work, run_sql
from taskcore import migrations
from taskcore.errors import ConnectionLost, MigrationFailed, SchemaLocked
from taskcore.migrations import lock

Act = Callable[..., None]
# The revision before the last one that locks the tasks.
BEFORE = "0002"


@pytest.fixture
def behind_url(own_url: str) -> str:
    """A database with tasks, before the last revision that locks them."""
    migrations.downgrade(own_url, BEFORE)
    run_sql(
        own_url,
        "INSERT INTO users (id) VALUES ('alice')",
        "INSERT INTO tasks (user_id, id, title) VALUES ('alice', gen_random_uuid(), 'kept')",
    )
    return own_url


@contextmanager
def holding(url: str, statement: str) -> Iterator[int]:
    """Run a statement in a transaction that stays open; yield the id of its process."""
    with psycopg.connect(url) as connection:
        connection.execute(statement.encode())
        yield connection.info.backend_pid


READING = "SELECT FROM tasks"
READING_USERS = "SELECT FROM users"
WRITING_USERS = "INSERT INTO users (id) VALUES ('carol')"


@pytest.mark.parametrize("held", [READING, "LOCK TABLE tasks IN SHARE MODE"])
def test_an_upgrade_names_the_process_that_holds_the_tasks(
    behind_url: str, dump: Dump, held: str
) -> None:
    before = dump(behind_url)
    with holding(behind_url, held) as pid:
        with pytest.raises(SchemaLocked, match=rf"held by process {pid}\); nothing was changed"):
            migrations.upgrade(behind_url, lock_timeout=0.1, statement_timeout=20)
        assert fetch_column(behind_url, "SELECT version_num FROM taskcore_version") == [BEFORE]
    assert dump(behind_url) == before
    migrations.upgrade(behind_url, lock_timeout=0.1)
    assert migrations.check(behind_url) == []
    assert fetch_column(behind_url, "SELECT title FROM tasks") == ["kept"]


def test_a_request_that_waited_behind_the_migration_is_not_named(behind_url: str) -> None:
    waits = (
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
        "AND datname = current_database() AND now() - query_start > '{} s'"
    )

    def waiting(number: int, seconds: float) -> bool:
        return fetch_column(behind_url, waits.format(seconds)) == [number]

    with (
        ThreadPoolExecutor(2) as threads,
        holding(behind_url, READING) as pid,
        psycopg.connect(behind_url) as request,
    ):
        upgrade = threads.submit(migrations.upgrade, behind_url, lock_timeout=2)
        wait_until(lambda: waiting(1, 1), "the migration has waited for a second")
        queued = threads.submit(request.execute, READING)
        wait_until(lambda: waiting(2, 0), "the request waits behind it")
        with pytest.raises(SchemaLocked, match=rf"held by process {pid}\);"):
            upgrade.result(60)
        # Control: it has a lock now, as the holder has.
        queued.result(60)
        held = "SELECT pid FROM pg_locks WHERE relation = 'tasks'::regclass AND granted"
        assert {pid, request.info.backend_pid} <= set(fetch_column(behind_url, held))


@pytest.mark.parametrize(
    ("action", "held"),
    [
        (partial(migrations.downgrade, to="0001"), READING),
        (partial(migrations.downgrade, to="base"), READING_USERS),
        (partial(migrations.adopt_users, table="none"), WRITING_USERS),
    ],
    ids=["downgrade", "downgrade to base", "adopt_users"],
)
def test_other_schema_changes_name_the_blocking_process(
    own_url: str, dump: Dump, action: Act, held: str
) -> None:
    before = dump(own_url)
    with holding(own_url, held) as pid, pytest.raises(SchemaLocked, match=rf"process {pid}\)"):
        action(own_url, lock_timeout=0.1)
    assert dump(own_url) == before
    assert migrations.current(own_url) == migrations.head()
    action(own_url, lock_timeout=0.1)
    assert dump(own_url) != before


def test_a_first_upgrade_names_the_process_that_writes_to_the_users(
    empty_url: str, dump: Dump
) -> None:
    run_sql(empty_url, "CREATE TABLE users (id text PRIMARY KEY)")
    before = dump(empty_url)
    with holding(empty_url, WRITING_USERS) as pid:
        with pytest.raises(SchemaLocked, match=rf"process {pid}\)"):
            migrations.upgrade(empty_url, lock_timeout=0.1)
        assert dump(empty_url) == before
    migrations.upgrade(empty_url, lock_timeout=0.1)


def test_a_migration_that_waits_too_long_names_the_process_of_the_running_one(
    own_url: str, make_database: Callable[[], str]
) -> None:
    turn = f"SELECT pg_advisory_lock({lock._NUMBER})"
    with holding(own_url, turn) as pid, holding(make_database(), turn) as other_pid:
        with pytest.raises(SchemaLocked, match=rf"process {pid}\)") as locked:
            migrations.upgrade(own_url, turn_timeout=0.1)
        assert str(other_pid) not in str(locked.value)
    migrations.upgrade(own_url, turn_timeout=0.1)


def test_a_statement_that_takes_too_long_is_stopped(behind_url: str, dump: Dump) -> None:
    before = dump(behind_url)
    with (
        holding(behind_url, READING),
        pytest.raises(MigrationFailed, match="took longer than it may; nothing was changed"),
    ):
        migrations.upgrade(behind_url, lock_timeout=20, statement_timeout=0.1)
    assert dump(behind_url) == before
    migrations.upgrade(behind_url)


@pytest.mark.parametrize("start", ["nothing", "0001"])
def test_a_killed_migration_changes_nothing_and_the_next_one_succeeds(
    empty_url: str, dump: Dump, start: str
) -> None:
    run_sql(empty_url, "CREATE TABLE users (id text PRIMARY KEY)")
    if start == "0001":
        migrations.upgrade(empty_url, start)
    before, at = dump(empty_url), migrations.current(empty_url)
    with (
        ThreadPoolExecutor(1) as thread,
        holding(empty_url, WRITING_USERS if at is None else READING) as holder,
    ):
        running = thread.submit(migrations.upgrade, empty_url, lock_timeout=60)
        blocked = f"SELECT pid FROM pg_stat_activity WHERE {holder} = ANY (pg_blocking_pids(pid))"
        wait_until(
            lambda: bool(fetch_column(empty_url, blocked)), "the migration's wait for a lock"
        )
        (victim,) = fetch_column(empty_url, blocked)
        run_sql(empty_url, f"SELECT pg_terminate_backend({victim}, 30000)")
        with pytest.raises(ConnectionLost, match="was rolled back"):
            running.result(60)
    assert dump(empty_url) == before
    assert migrations.current(empty_url) == at
    migrations.upgrade(empty_url)
    assert migrations.check(empty_url) == []
    run_sql(empty_url, "INSERT INTO users (id) VALUES ('alice')")
    assert operations_work(empty_url, "alice")
