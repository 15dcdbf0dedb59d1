"""The revisions run up, down and up again, and the current one is known."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from support.schema_dump import Dump
from support.sql import fetch_column, operations_work, run_sql
from taskcore import Database, SchemaError, TaskCreate, create_task, get_task, migrations
from taskcore.errors import UnknownRevision

TASKS = "SELECT to_jsonb(t) FROM tasks t ORDER BY id"


def test_up_down_and_up_again_is_the_same_schema(empty_url: str, dump: Dump) -> None:
    assert migrations.current(empty_url) is None
    migrations.upgrade(empty_url)
    first = dump(empty_url)
    assert any("CREATE POLICY taskcore_owner" in line for line in first)
    for to in ("0001", "base"):
        migrations.downgrade(empty_url, to)
        assert dump(empty_url) != first
        migrations.upgrade(empty_url)
        assert dump(empty_url) == first
        assert migrations.current(empty_url) == migrations.head()
    assert migrations.check(empty_url) == []


def test_step_by_step_is_the_same_schema(own_url: str, empty_url: str, dump: Dump) -> None:
    at_once = dump(own_url)
    revisions = [revision for revision, _ in migrations.history()]
    for _ in revisions:
        migrations.downgrade(own_url)
    assert migrations.current(own_url) is None
    for revision in revisions:
        migrations.upgrade(own_url, revision)
        assert migrations.current(own_url) == revision
    assert dump(own_url) == at_once


def test_tasks_survive_a_downgrade_of_one_revision_and_not_one_to_base(own_url: str) -> None:
    run_sql(own_url, "INSERT INTO users (id) VALUES ('alice')")
    with Database(own_url) as database:
        task = database.run(create_task("alice", TaskCreate(title="kept", description="d")))
        before = fetch_column(own_url, TASKS)
        migrations.downgrade(own_url)
        assert fetch_column(own_url, TASKS) == before
        migrations.upgrade(own_url)
        assert fetch_column(own_url, TASKS) == before
        assert database.run(get_task("alice", task.id)).title == "kept"
    migrations.downgrade(own_url, "base")
    assert fetch_column(own_url, "SELECT to_regclass('public.tasks')") == [None]
    migrations.upgrade(own_url)
    assert fetch_column(own_url, TASKS) == []


def test_an_upgrade_at_the_head_changes_nothing(own_url: str, dump: Dump) -> None:
    before, lines = dump(own_url), list[str]()
    migrations.upgrade(own_url, report=lines.append)
    assert dump(own_url) == before
    assert lines == []


def test_each_revision_that_is_applied_is_reported(empty_url: str) -> None:
    lines: list[str] = []
    migrations.upgrade(empty_url, report=lines.append)
    migrations.downgrade(empty_url, "0001", report=lines.append)
    steps = [line.partition(":")[0] for line in lines if line.startswith(("up to", "down from"))]
    ups = ["up to 0001", "up to 0002", "up to 0003", "up to 0004"]
    assert steps == [*ups, "down from 0004", "down from 0003", "down from 0002"]


@pytest.mark.parametrize("revision", ["9999", "000", "head"])
@pytest.mark.parametrize(
    "action",
    [
        migrations.upgrade,
        migrations.downgrade,
        migrations.check,
        lambda url: migrations.adopt_users(url, "none"),
    ],
    ids=["upgrade", "downgrade", "check", "adopt_users"],
)
def test_an_unknown_revision_is_refused(
    own_url: str, dump: Dump, action: Callable[[str], object], revision: str
) -> None:
    before = dump(own_url)
    run_sql(own_url, f"UPDATE taskcore_version SET version_num = '{revision}'")
    with pytest.raises(UnknownRevision, match=f"at revision {revision}, which this taskcore"):
        action(own_url)
    assert migrations.current(own_url) == revision
    assert dump(own_url) == before

    run_sql(own_url, f"UPDATE taskcore_version SET version_num = '{migrations.head()}'")
    action(own_url)


def test_code_runs_on_a_newer_schema(own_url: str) -> None:
    run_sql(
        own_url,
        "INSERT INTO users (id) VALUES ('alice')",
        "ALTER TABLE tasks ADD due date",
        "UPDATE taskcore_version SET version_num = '9999'",
    )
    assert operations_work(own_url, "alice")


@pytest.mark.parametrize(
    "action",
    [
        lambda url: migrations.upgrade(url, "no-such-revision"),
        lambda url: migrations.downgrade(url, "no-such-revision"),
        lambda url: migrations.downgrade(url, "-9"),
    ],
    ids=["up", "down", "below the base"],
)
def test_an_unknown_target_revision_is_refused(
    own_url: str, dump: Dump, action: Callable[[str], None]
) -> None:
    before = dump(own_url)
    with pytest.raises(SchemaError, match="there is no way to that revision"):
        action(own_url)
    assert dump(own_url) == before
    assert migrations.current(own_url) == migrations.head()
