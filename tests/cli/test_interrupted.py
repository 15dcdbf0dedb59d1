"""Ctrl-C rolls the open transaction back, and the same command continues the work."""

from __future__ import annotations

import fcntl
import signal
import subprocess
import sys
import termios

import psycopg
import pytest

from support.command import Cli
from support.polling import wait_until
from taskcli.dataset import BATCH, Dataset
from taskcore import migrations
from taskcore.admin import connected, count_between, list_users

pytestmark = pytest.mark.usefixtures("started_for_real")

_BLOCKED = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND {}"
_WAITS = "wait_event_type = 'Lock'"


def interrupted(process: subprocess.Popen[str]) -> tuple[int, str]:
    process.send_signal(signal.SIGINT)
    _, output = process.communicate(timeout=60)
    assert "Traceback" not in output
    return process.returncode, output


def unread(process: subprocess.Popen[str]) -> int:
    """The bytes in the pipe of its standard output."""
    assert process.stdout is not None
    return int.from_bytes(fcntl.ioctl(process.stdout, termios.FIONREAD, bytes(4)), sys.byteorder)


def test_an_interrupted_migration_changes_nothing_and_can_be_repeated(
    cli: Cli, empty_url: str
) -> None:
    with psycopg.connect(empty_url, autocommit=True) as other:
        other.execute("CREATE TABLE public.users (id text PRIMARY KEY)")
        with other.transaction():
            other.execute("LOCK TABLE public.users IN ACCESS EXCLUSIVE MODE")
            process = cli.start("migrate", DATABASE_URL=empty_url)
            wait_until(lambda: _number(empty_url, _WAITS), "the migration waits")
            code, output = interrupted(process)
    assert code == 130
    assert "stopped: what was under way was rolled back" in output
    assert migrations.current(empty_url) is None
    assert cli("migrate", DATABASE_URL=empty_url).code == 0
    assert migrations.current(empty_url) == migrations.head()


def test_an_interrupted_seed_keeps_whole_batches_and_continues(cli: Cli, own_url: str) -> None:
    """The interrupt comes during the second batch: the first one is committed as a whole."""
    tasks = 3 * BATCH
    data = Dataset(1, 10, tasks)
    with connected(own_url) as session, psycopg.connect(own_url) as other:
        # Another transaction inserts the last task of the second batch, so `seed` waits there.
        user = f"seed-1-{1}"
        session.execute("INSERT INTO public.users (id) VALUES (%s)", [user])
        for number in range(10):
            other.execute(
                "INSERT INTO public.tasks (user_id, id, title) SELECT %s, %s, 'blocks the batch' "
                "WHERE EXISTS (SELECT FROM public.users WHERE id = %s)",
                [f"seed-1-{number}", data.task_id(2 * BATCH - 1), f"seed-1-{number}"],
            )
        process = cli.start("seed", "--tasks", tasks, DATABASE_URL=own_url)
        wait_until(lambda: _count(own_url, data, 0) == BATCH, "the first batch")
        code, output = interrupted(process)
        other.rollback()
    assert code == 130
    assert "run the same command to go on" in output
    assert f" of {tasks} tasks are in" in output
    assert _count(own_url, data, 0) == BATCH
    assert _count(own_url, data, 2) in (0, BATCH)
    again = cli("seed", "--tasks", tasks, "--json", DATABASE_URL=own_url)
    assert again.code == 0
    assert 0 < again.json["tasks_added"] < tasks
    assert [_count(own_url, data, batch) for batch in range(3)] == [BATCH] * 3
    with connected(own_url) as session:
        assert sum(user.tasks for user in list_users(session)) == tasks


def test_an_interrupted_export_says_so_in_its_last_line_and_is_not_imported(
    cli: Cli, own_url: str
) -> None:
    """More than fits in a pipe that is not read: the export is in the middle when it is stopped."""
    assert cli("seed", "--tasks", 20_000, DATABASE_URL=own_url).code == 0
    process = cli.start("tasks", "export", DATABASE_URL=own_url)
    wait_until(lambda: unread(process) > 900_000, "the export fills its pipe")
    process.send_signal(signal.SIGINT)
    out, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert "what was written is not complete, and its last line says so" in said
    assert "nothing was changed" not in said
    assert out.endswith('\n{"unfinished": true}\n')
    done = cli("tasks", "import", stdin=out, DATABASE_URL=own_url)
    assert done.code == 1
    assert "nothing was imported" in done.err
    whole = out.partition("\n\n")[0] + "\n"
    if whole.rstrip().endswith("}"):
        assert "the export was not finished" in done.err
        # Control: without the last line the same tasks are taken.
        assert cli("tasks", "import", stdin=whole, DATABASE_URL=own_url).code == 0


def test_an_interrupted_verb_that_reads_exits_with_130(cli: Cli, own_url: str) -> None:
    with psycopg.connect(own_url) as other:
        other.execute("LOCK TABLE public.tasks IN ACCESS EXCLUSIVE MODE")
        process = cli.start("stats", DATABASE_URL=own_url)
        wait_until(lambda: _number(own_url, _WAITS) == 1, "the verb waits")
        code, output = interrupted(process)
    assert (code, output) == (130, "taskcli: stopped; nothing was changed\n")


def _count(url: str, data: Dataset, batch: int) -> int:
    first, last = data.task_id(batch * BATCH), data.task_id((batch + 1) * BATCH - 1)
    with connected(url) as session:
        return count_between(session, first, last)


def _number(url: str, condition: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute(_BLOCKED.format(condition).encode()).fetchone()
    return int(row[0]) if row else 0
