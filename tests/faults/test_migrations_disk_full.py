"""A disk that is full during a migration or `seed`: one sentence, and no half-applied change.

A test cannot fill the disk of every machine. So a trigger makes PostgreSQL write to /dev/full: the
server gets a real ENOSPC from the system, inside the statement of the command. Only the file is not
one of a table or an index; the error and PostgreSQL's reaction are the same. If the disk of the
write-ahead log is full, PostgreSQL ends as if killed: see test_migrations_killed.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from faults.revisions import SettledRevision
from support.command import Cli
from support.figures import FULL
from support.schema_dump import Dump
from support.sql import fetch_column, run_sql
from taskcli.dataset import BATCH
from taskcore import migrations

HEAD = migrations.head()
WRITE = "COPY (SELECT repeat('x', 100000)) TO '/dev/full';"
FUNCTION = "CREATE FUNCTION no_room() RETURNS {} LANGUAGE plpgsql AS $$BEGIN {} END$$"


@contextmanager
def no_room_at(url: str, command: str) -> Iterator[None]:
    """The disk is full at the end of each `command`."""
    run_sql(
        url,
        FUNCTION.format("event_trigger", WRITE),
        "CREATE EVENT TRIGGER no_room ON ddl_command_end "
        f"WHEN TAG IN ('{command}') EXECUTE FUNCTION no_room()",
    )
    try:
        yield
    finally:
        run_sql(url, "DROP EVENT TRIGGER no_room", "DROP FUNCTION no_room()")


@contextmanager
def no_room_for(url: str, table: str, number: int) -> Iterator[None]:
    """The disk is full from the insert of the `number`-th row into `table`."""
    write = f"IF nextval('public.room') >= {number} THEN {WRITE} END IF; RETURN new;"
    run_sql(
        url,
        "CREATE SEQUENCE room",
        FUNCTION.format("trigger", write),
        f"CREATE TRIGGER no_room BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION no_room()",
    )
    try:
        yield
    finally:
        run_sql(
            url, f"DROP TRIGGER no_room ON {table}", "DROP FUNCTION no_room()", "DROP SEQUENCE room"
        )


COMMANDS = ["CREATE TABLE", "CREATE POLICY", "DROP INDEX"] if FULL else ["CREATE POLICY"]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_disk_rolls_a_migration_back(
    cli: Cli, empty_url: str, dump: Dump, settled_revision: SettledRevision, command: str
) -> None:
    with no_room_at(empty_url, command):
        before = dump(empty_url)
        done = cli("migrate", DATABASE_URL=empty_url)
        assert done.code == 1
        assert done.err.splitlines()[-1] == (
            "taskcli: the database's disk is full; nothing was changed"
        )
        assert dump(empty_url) == before
    assert settled_revision(empty_url) is None
    assert cli("migrate", DATABASE_URL=empty_url).code == 0
    assert settled_revision(empty_url) == HEAD


def test_the_trigger_on_another_command_stops_no_migration(
    empty_url: str, settled_revision: SettledRevision
) -> None:
    """Control: the full disk stops the migrations above, not the presence of a trigger."""
    with no_room_at(empty_url, "CREATE RULE"):
        migrations.upgrade(empty_url)
    assert settled_revision(empty_url) == HEAD


SEED = ("seed", "--users", 3, "--tasks", BATCH + 10)
TASKS = "SELECT count(*) FROM tasks"


MOMENTS = [("tasks", BATCH + 5, BATCH)]
if FULL:
    MOMENTS += [("users", 2, 0), ("tasks", 100, 0)]


@pytest.mark.parametrize(("table", "number", "left"), MOMENTS)
def test_a_seed_keeps_its_complete_batches_on_a_full_disk_and_continues_later(
    cli: Cli, own_url: str, table: str, number: int, left: int
) -> None:
    with no_room_for(own_url, table, number):
        done = cli(*SEED, DATABASE_URL=own_url)
        assert done.code == 1
        assert done.err.startswith("taskcli: the database's disk is full: ")
        assert done.err.endswith("; make room, and run the same command to go on\n")
        assert f"{left} of {BATCH + 10} tasks are in" in done.err or table == "users"
        assert fetch_column(own_url, TASKS) == [left]
    assert cli(*SEED, DATABASE_URL=own_url).code == 0
    assert fetch_column(own_url, TASKS) == [BATCH + 10]


def test_a_seed_that_fits_on_the_disk_completes(cli: Cli, own_url: str) -> None:
    """Control: the trigger stops no seed that has fewer rows."""
    with no_room_for(own_url, "tasks", BATCH + 11):
        assert cli(*SEED, DATABASE_URL=own_url).code == 0
    assert fetch_column(own_url, TASKS) == [BATCH + 10]
