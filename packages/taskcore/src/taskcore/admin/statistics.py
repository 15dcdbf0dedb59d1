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
    """Counts are exact; sizes are in bytes, and of all nodes where the tasks are spread."""

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
        "percentile_disc(%s::float8[]) WITHIN GROUP (ORDER BY n) FROM spread"
    ).format(all_users)
    row = admin.execute(query, [list(QUANTILES.values())]).fetchone()
    assert row is not None  # noqa: S101 - an aggregate has a row
    users, tasks, completed, spread = row
    table_bytes, total_bytes, index_bytes = _sizes(admin)
    return Statistics(
        users=users,
        tasks=tasks,
        completed=completed,
        tasks_per_user=dict(zip(QUANTILES, spread or [0] * len(QUANTILES), strict=True)),
        table_bytes=table_bytes,
        index_bytes=index_bytes,
        total_bytes=total_bytes,
    )


def _sizes(admin: Admin) -> tuple[int, int, dict[str, int]]:
    """Return the bytes of the table, of all of it, and of each index."""
    if admin.is_distributed():
        # PostgreSQL's own functions see one node, and Citus's know a table's indexes as a sum.
        sizes = "SELECT citus_table_size('public.tasks'), citus_total_relation_size('public.tasks')"
        table, total = admin.execute(sizes).fetchone() or (0, 0)
        return table, total, {"all indexes": total - table}
    sizes = "SELECT pg_table_size('public.tasks'), pg_total_relation_size('public.tasks')"
    table, total = admin.execute(sizes).fetchone() or (0, 0)
    indexes = admin.execute(
        "SELECT c.relname, pg_relation_size(c.oid) FROM pg_index x "
        "JOIN pg_class c ON c.oid = x.indexrelid "
        "WHERE x.indrelid = 'public.tasks'::regclass ORDER BY 1"
    )
    return table, total, dict(indexes.fetchall())
