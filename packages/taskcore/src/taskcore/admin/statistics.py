"""How much there is, and how it is spread over the users."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from psycopg import sql

from .connection import Admin
from .users import users_table

QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}


@dataclass(frozen=True)
class Statistics:
    """Counts are exact; sizes are in bytes."""

    users: int
    tasks: int
    completed: int
    tasks_per_user: Mapping[str, int]
    table_bytes: int
    index_bytes: Mapping[str, int]
    total_bytes: int


def statistics(admin: Admin) -> Statistics:
    """Count users, tasks and bytes, in one statement each."""
    table = users_table(admin)
    all_users = sql.SQL("SELECT user_id AS id FROM public.tasks")
    if table.name is not None:
        all_users = sql.SQL("SELECT id FROM {}").format(table.identifier)  # type: ignore[assignment]
    query = sql.SQL(
        "WITH counted AS (SELECT user_id, count(*) AS n, "
        "count(*) FILTER (WHERE completed) AS done FROM public.tasks GROUP BY user_id), "
        "all_users AS (SELECT DISTINCT id FROM ({}) e), "
        "spread AS (SELECT coalesce(n, 0) AS n, coalesce(done, 0) AS done "
        "FROM all_users LEFT JOIN counted ON user_id = id) "
        "SELECT count(*), coalesce(sum(n), 0)::int8, "
        "coalesce(sum(done), 0)::int8, "
        "percentile_disc(%s::float8[]) WITHIN GROUP (ORDER BY n), "
        "pg_table_size('public.tasks'), "
        "pg_total_relation_size('public.tasks') FROM spread"
    ).format(all_users)
    row = admin.execute(query, [list(QUANTILES.values())]).fetchone()
    assert row is not None  # noqa: S101 - an aggregate has a row
    users, tasks, completed, spread, table_bytes, total_bytes = row
    indexes = admin.execute(
        "SELECT c.relname, pg_relation_size(c.oid) FROM pg_index x "
        "JOIN pg_class c ON c.oid = x.indexrelid "
        "WHERE x.indrelid = 'public.tasks'::regclass ORDER BY 1"
    ).fetchall()
    return Statistics(
        users=users,
        tasks=tasks,
        completed=completed,
        tasks_per_user=dict(zip(QUANTILES, spread or [0] * len(QUANTILES), strict=True)),
        table_bytes=table_bytes,
        index_bytes=dict(indexes),
        total_bytes=total_bytes,
    )
