"""A disk that is full in the middle of a migration, or of `seed`: one sentence, nothing by half.

No disk can be filled on every machine that runs this. What is real here: the server itself is told
ENOSPC by the system, inside the statement that the command has sent, since a trigger makes it write
to /dev/full. What is not: the file is none of a table's or an index's. The error, and what
PostgreSQL does about it, are the same. Where its log of changes has no room, PostgreSQL ends as if
it were killed, which is tried beside this.
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
    """The disk is full when this command has been done."""
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
    """The disk is full when a table gets its row of this number."""
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
def test_a_migration_that_meets_a_full_disk_undoes_it_all(
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


def test_a_command_that_no_migration_gives_meets_nothing(
    empty_url: str, settled_revision: SettledRevision
) -> None:
    """The control: it is the full disk that stops the others, and not that something looks on."""
    with no_room_at(empty_url, "CREATE RULE"):
        migrations.upgrade(empty_url)
    assert settled_revision(empty_url) == HEAD


SEED = ("seed", "--users", 3, "--tasks", BATCH + 10)
TASKS = "SELECT count(*) FROM tasks"


MOMENTS = [("tasks", BATCH + 5, BATCH)]
if FULL:
    MOMENTS += [("users", 2, 0), ("tasks", 100, 0)]


@pytest.mark.parametrize(("table", "number", "left"), MOMENTS)
def test_a_seed_that_meets_a_full_disk_keeps_whole_batches_and_goes_on_later(
    cli: Cli, own_url: str, table: str, number: int, left: int
) -> None:
    with no_room_for(own_url, table, number):
        done = cli(*SEED, DATABASE_URL=own_url)
        assert (done.code, done.err) == (
            1,
            "taskcli: The database's disk is full; the transaction was rolled back\n",
        )
        assert fetch_column(own_url, TASKS) == [left]
    assert cli(*SEED, DATABASE_URL=own_url).code == 0
    assert fetch_column(own_url, TASKS) == [BATCH + 10]


def test_a_seed_with_room_for_all_of_it_meets_nothing(cli: Cli, own_url: str) -> None:
    """The control."""
    with no_room_for(own_url, "tasks", BATCH + 11):
        assert cli(*SEED, DATABASE_URL=own_url).code == 0
    assert fetch_column(own_url, TASKS) == [BATCH + 10]
