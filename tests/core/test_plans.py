"""Every statement finds its rows by their owner in an index, also in a large table."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import text

from core.isolation_attempts import Admin
from support.unfiltered import FILTERED, STATEMENTS, unfiltered
from taskcore import embedded, migrations
from taskcore.execution.op import Statement
from taskcore.execution.wire import BIND_OWNER
from taskcore.testing import database

OWNER = "user_50"
VALUES: dict[str, object] = {
    "owner": OWNER,
    "timeout": "60000",
    "task_id": UUID(int=50),
    "versions": [datetime(2026, 1, 1, tzinfo=UTC)],
    "title_given": True,
    "new_title": "new",
    "description_given": False,
    "new_description": None,
    "completed_given": False,
    "new_completed": False,
}
# Each of these leaves only one of the two indexes.
_NO_INDEX = Statement(text("DROP INDEX public.ix_tasks_id_user_id"))
_NO_KEY = Statement(text("ALTER TABLE public.tasks DROP CONSTRAINT pk_tasks"))


@pytest.fixture(scope="module")
def full(postgres: embedded.Server) -> Iterator[Admin]:
    """A database with many tasks, of which the planner has statistics."""
    with database(postgres) as url:
        migrations.upgrade(url)
        with psycopg.connect(url, autocommit=True) as admin:
            admin.execute(
                "INSERT INTO users (id) SELECT 'user_' || n FROM generate_series(1, 100) n"
            )
            admin.execute(
                "INSERT INTO tasks (user_id, id, title, created_at)"
                " SELECT 'user_' || n % 100 + 1, gen_random_uuid(), 'a task',"
                " now() - n * '1 s'::interval FROM generate_series(1, 20000) n"
            )
            admin.execute("VACUUM ANALYZE tasks")
            yield admin


def plan(
    admin: Admin, statement: Statement, *before: Statement, generic: bool = False
) -> list[dict[str, Any]]:
    """Return the nodes of a statement's plan; other statements run before it in its transaction."""
    with admin.transaction(force_rollback=True), psycopg.RawCursor(admin) as cursor:
        for earlier in before:
            cursor.execute(earlier.sql, _values(earlier))
        if generic:
            cursor.execute(b"EXPLAIN (FORMAT JSON, GENERIC_PLAN) " + statement.sql)
        else:
            cursor.execute(b"EXPLAIN (FORMAT JSON) " + statement.sql, _values(statement))
        (explained,) = cursor.fetchall()
    return list(_nodes(explained[0][0]["Plan"]))


def _values(statement: Statement) -> list[object]:
    return [VALUES[name] for name in statement.parameters]


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _nodes(child)


def sought_by(nodes: list[dict[str, Any]]) -> list[str]:
    """The index conditions by which the tasks are found; "nothing" stands for a sequential scan."""
    return [
        node.get("Index Cond", "nothing")
        for node in nodes
        if "Index Cond" in node or node["Node Type"] == "Seq Scan"
    ]


how = pytest.mark.parametrize("generic", [False, True], ids=["custom plan", "generic plan"])


@how
def test_a_list_is_found_by_its_owner(generic: bool, full: Admin) -> None:
    (sought,) = sought_by(plan(full, STATEMENTS["_LIST"], BIND_OWNER, generic=generic))
    assert "user_id = " in sought


@how
@pytest.mark.parametrize("dropped", [(), (_NO_INDEX,), (_NO_KEY,)], ids=["", "no index", "no key"])
@pytest.mark.parametrize("name", [name for name in FILTERED if name != "_LIST"])
def test_one_task_is_found_by_its_owner_and_its_id(
    name: str, dropped: tuple[Statement, ...], generic: bool, full: Admin
) -> None:
    (sought,) = sought_by(plan(full, STATEMENTS[name], *dropped, BIND_OWNER, generic=generic))
    assert "(id = " in sought and "(user_id = " in sought


def test_an_insert_finds_its_conflict_by_the_primary_key(full: Admin) -> None:
    nodes = plan(full, STATEMENTS["_CREATE"], BIND_OWNER)
    assert nodes[0]["Conflict Arbiter Indexes"] == ["pk_tasks"]
    assert sought_by(nodes) == []


def test_the_policy_alone_finds_tasks_by_their_owner(full: Admin) -> None:
    (sought,) = sought_by(plan(full, unfiltered(STATEMENTS["_LIST"]), BIND_OWNER))
    assert "user_id = " in sought


def test_without_both_locks_every_task_is_read(full: Admin) -> None:
    """Control: a sequential scan is seen."""
    assert sought_by(plan(full, unfiltered(STATEMENTS["_LIST"]))) == ["nothing"]
