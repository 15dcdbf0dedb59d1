"""A migration that cannot get its lock gives up and says why; no request fails meanwhile."""

from __future__ import annotations

import re

import psycopg

from faults.revisions import NEXT, CodeAhead
from faults.steady_rate import steady_requests
from support.api_server import Serve
from support.command import Cli
from support.figures import Figure
from support.sql import fetch_column, run_sql
from taskcore import migrations


def test_a_migration_gives_up_on_a_lock_and_no_request_fails(
    cli: Cli, own_url: str, code_ahead: CodeAhead, serve: Serve, figure: Figure
) -> None:
    ahead = code_ahead(
        "ALTER TABLE public.tasks ADD COLUMN note text", "ALTER TABLE public.tasks DROP note"
    )
    run_sql(own_url, "INSERT INTO users (id) VALUES ('alice')")
    with serve(own_url) as api, steady_requests(api.base, "alice") as seen:
        seen.wait_for_more()
        with psycopg.connect(own_url) as holder:
            holder.execute("SELECT FROM tasks")
            done = cli("migrate", DATABASE_URL=own_url, PYTHONPATH=ahead)
            assert (done.code, done.err.count("\n")) == (1, 1)
            # Of the requests that come all the time, one may have begun just when the wait did. One
            # that began later is not named: core/test_migrations_locks.py.
            holders = re.search(r"held by process ([0-9, ]+)\)", done.err)
            assert holders is not None
            assert str(holder.info.backend_pid) in holders[1].split(", ")
            assert "nothing was changed" in done.err
            assert migrations.current(own_url) == migrations.head()
            seen.wait_for_more()
        assert seen.slowest > 0.5, "no request waited behind the migration"
        assert cli("migrate", DATABASE_URL=own_url, PYTHONPATH=ahead).code == 0
        seen.wait_for_more()
    assert fetch_column(own_url, "SELECT version_num FROM taskcore_version") == [NEXT]
    assert seen.outcomes <= {(200, ""), (201, "")}
    figure(
        f"a migration gave up on a lock: {len(seen.answers)} requests, 0 failed, "
        f"the slowest {seen.slowest:.1f} s"
    )
