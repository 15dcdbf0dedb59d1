"""Many processes migrate one database at once, as the instances of a deploy do."""

from __future__ import annotations

import psycopg

from faults.revisions import SettledRevision
from support.command import Cli
from support.figures import FULL
from support.sql import fetch_column, wait_for_lock_waiters
from taskcore import migrations
from taskcore.migrations import lock

PROCESSES = 20 if FULL else 3


def test_concurrent_migrations_all_succeed_and_each_revision_runs_once(
    cli: Cli, empty_url: str, settled_revision: SettledRevision
) -> None:
    with psycopg.connect(empty_url, autocommit=True) as blocker:
        blocker.execute("SELECT pg_advisory_lock(%s)", [lock._NUMBER])
        racing = [cli.start("migrate", DATABASE_URL=empty_url) for _ in range(PROCESSES)]
        wait_for_lock_waiters(empty_url, PROCESSES, "advisory")
        assert fetch_column(empty_url, "SELECT to_regclass('public.tasks')") == [None]
    outputs = [process.communicate(timeout=60)[1] for process in racing]
    assert [process.returncode for process in racing] == [0] * PROCESSES
    for revision, _ in migrations.history():
        assert sum(f"up to {revision}:" in text for text in outputs) == 1
    assert settled_revision(empty_url) == migrations.head()
