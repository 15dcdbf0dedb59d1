"""Many processes that migrate one database at once, as the instances of a deploy do."""

from __future__ import annotations

import psycopg

from fix_cli import Cli
from fix_faults import FULL
from fix_revisions import State
from fix_schema import ask, wait_for_waiters
from taskcore import schema

PROCESSES = 20 if FULL else 3


def test_processes_that_migrate_at_once_all_succeed_and_one_of_them_does_it(
    cli: Cli, empty_url: str, state: State
) -> None:
    with psycopg.connect(empty_url, autocommit=True) as gun:
        gun.execute("SELECT pg_advisory_lock(%s)", [schema._LOCK])
        racing = [cli.start("migrate", DATABASE_URL=empty_url) for _ in range(PROCESSES)]
        wait_for_waiters(empty_url, PROCESSES, "advisory")
        assert ask(empty_url, "SELECT to_regclass('public.tasks')") == [None]
    said = [process.communicate(timeout=60)[1] for process in racing]
    assert [process.returncode for process in racing] == [0] * PROCESSES
    for revision, _ in schema.history():
        assert sum(f"up to {revision}:" in text for text in said) == 1
    assert state(empty_url) == schema.head()
