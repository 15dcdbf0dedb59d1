"""Locks: one migration of a database at a time, and which processes hold a lock that it needs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from taskcore.tenancy import FOREIGN_KEY

from .connection import Report, connect, set_local, silent
from .failures import translated

_NUMBER = int.from_bytes(hashlib.sha256(b"taskcore migrations").digest()[:8], "big", signed=True)


@contextmanager
def only_migration(url: str, timeout: float, report: Report = silent) -> Iterator[sa.Connection]:
    """Wait for other migrations of this database to end; no other begins on it meanwhile."""
    waited = f"{timeout}s"
    with connect(url, report) as connection:
        holders = holders_query(waited)
        with translated(connection, holders=holders), connection.begin():
            set_local(connection, {"lock_timeout": waited})
            connection.execute(sa.select(sa.func.pg_advisory_lock(_NUMBER)))
        # The session's end, however it comes, releases the lock.
        yield connection


def holders_query(waited: str) -> sa.TextClause:
    """Return the query for the processes that a statement with this lock_timeout waited for.

    Only transactions older than the wait count: a request that queued behind the migration holds
    locks too, but began later. A login that may not see when a transaction began sees NULL.
    """
    # Other databases of the cluster may have locks of the same numbers.
    query = f"""
SELECT DISTINCT l.pid
  FROM pg_catalog.pg_locks l
  JOIN pg_catalog.pg_database d ON d.oid = l.database AND d.datname = current_database()
  JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
 WHERE l.granted AND l.pid <> pg_catalog.pg_backend_pid()
   AND (l.relation IN (SELECT to_regclass('public.tasks') UNION ALL
                       SELECT to_regclass('public.users') UNION ALL
                       SELECT to_regclass('public."user"') UNION ALL
                       SELECT confrelid FROM pg_catalog.pg_constraint
                        WHERE conrelid = to_regclass('public.tasks')
                          AND conname = '{FOREIGN_KEY}')
        AND coalesce(a.xact_start < now() - CAST(:waited AS interval), true)
        OR (l.locktype = 'advisory' AND (l.classid::bigint << 32 | l.objid::bigint) = :lock))
 ORDER BY l.pid
"""
    return sa.text(query).bindparams(waited=waited, lock=_NUMBER)
