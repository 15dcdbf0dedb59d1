"""Autovacuum of the tasks yields to a migration within its lock timeout."""

from __future__ import annotations

import pytest

from support.polling import wait_until
from support.sql import fetch_column, run_sql
from taskcore import embedded, migrations
from taskcore.errors import SchemaLocked

VACUUMS = "SELECT pid FROM pg_stat_progress_vacuum WHERE relid = 'public.tasks'::regclass"


@pytest.fixture
def vacuumed(cluster: embedded.Server) -> str:
    """A database whose tasks are being vacuumed, too slowly for the vacuum to end in the test."""
    url = cluster.url
    migrations.upgrade(url)
    run_sql(
        url,
        "INSERT INTO users (id) VALUES ('alice')",
        "INSERT INTO tasks (user_id, id, title) "
        "SELECT 'alice', gen_random_uuid(), repeat('x', 500) FROM generate_series(1, 5000)",
        "ALTER TABLE tasks SET (autovacuum_vacuum_threshold = 1, "
        "autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_cost_delay = 100, "
        "autovacuum_vacuum_cost_limit = 1)",
        "UPDATE tasks SET completed = true",
        "ALTER SYSTEM SET autovacuum_naptime = 1",
        "SELECT pg_reload_conf()",
    )
    wait_until(lambda: bool(fetch_column(url, VACUUMS)), "a vacuum")
    return url


def test_autovacuum_yields_to_a_migration(vacuumed: str) -> None:
    (worker,) = fetch_column(vacuumed, VACUUMS)
    # Control: below deadlock_timeout (1 s) autovacuum does not yield. The revision locks the table.
    with pytest.raises(SchemaLocked, match=f"process {worker}"):
        migrations.downgrade(vacuumed, "0002", lock_timeout=0.5)
    migrations.downgrade(vacuumed, "0002")
    assert migrations.current(vacuumed) != migrations.head()
