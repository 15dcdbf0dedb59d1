"""The history of the schema runs up, down and up again, and knows where it is."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fix_schema import Dump, ask, do, operations_work
from taskcore import Database, SchemaError, TaskCreate, create_task, get_task, schema
from taskcore.errors import UnknownRevision

TASKS = "SELECT to_jsonb(t) FROM tasks t ORDER BY id"


def test_up_down_and_up_again_is_the_same_schema(empty_url: str, dump: Dump) -> None:
    assert schema.current(empty_url) is None
    schema.upgrade(empty_url)
    first = dump(empty_url)
    assert any("CREATE POLICY taskcore_owner" in line for line in first)
    for to in ("0001", "base"):
        schema.downgrade(empty_url, to)
        assert dump(empty_url) != first
        schema.upgrade(empty_url)
        assert dump(empty_url) == first
        assert schema.current(empty_url) == schema.head()
    assert schema.check(empty_url) == []


def test_step_by_step_is_the_same_schema(own_url: str, empty_url: str, dump: Dump) -> None:
    at_once = dump(own_url)
    for _ in range(len(schema.older_revisions()) + 1):
        schema.downgrade(own_url)
    assert schema.current(own_url) is None
    for revision in [*sorted(schema.older_revisions()), schema.head()]:
        schema.upgrade(own_url, revision)
        assert schema.current(own_url) == revision
    assert dump(own_url) == at_once


def test_tasks_outlive_the_second_lock_and_go_with_the_first_revision(own_url: str) -> None:
    do(own_url, "INSERT INTO users (id) VALUES ('alice')")
    with Database(own_url) as database:
        task = database.run(create_task("alice", TaskCreate(title="kept", description="d")))
        before = ask(own_url, TASKS)
        schema.downgrade(own_url)
        assert ask(own_url, TASKS) == before
        schema.upgrade(own_url)
        assert ask(own_url, TASKS) == before
        assert database.run(get_task("alice", task.id)).title == "kept"
    schema.downgrade(own_url, "base")
    assert ask(own_url, "SELECT to_regclass('public.tasks')") == [None]
    schema.upgrade(own_url)
    assert ask(own_url, TASKS) == []


def test_an_upgrade_at_the_head_changes_nothing(own_url: str, dump: Dump) -> None:
    before, said = dump(own_url), list[str]()
    schema.upgrade(own_url, report=said.append)
    assert dump(own_url) == before
    assert said == []


def test_each_revision_that_is_applied_is_reported(empty_url: str) -> None:
    said: list[str] = []
    schema.upgrade(empty_url, report=said.append)
    schema.downgrade(empty_url, "0001", report=said.append)
    steps = [line.partition(":")[0] for line in said if line.startswith(("up to", "down from"))]
    assert steps == ["up to 0001", "up to 0002", "up to 0003", "down from 0003", "down from 0002"]


@pytest.mark.parametrize("revision", ["9999", "000", "head"])
@pytest.mark.parametrize(
    "action",
    [
        schema.upgrade,
        schema.downgrade,
        schema.check,
        lambda url: schema.adopt_users(url, "none"),
    ],
    ids=["upgrade", "downgrade", "check", "adopt_users"],
)
def test_an_unknown_revision_is_refused(
    own_url: str, dump: Dump, action: Callable[[str], object], revision: str
) -> None:
    before = dump(own_url)
    do(own_url, f"UPDATE taskcore_version SET version_num = '{revision}'")
    with pytest.raises(UnknownRevision, match=f"at revision {revision}, which this taskcore"):
        action(own_url)
    assert schema.current(own_url) == revision
    assert dump(own_url) == before

    do(own_url, f"UPDATE taskcore_version SET version_num = '{schema.head()}'")
    action(own_url)


def test_code_runs_on_a_newer_schema(own_url: str) -> None:
    do(
        own_url,
        "INSERT INTO users (id) VALUES ('alice')",
        "ALTER TABLE tasks ADD due date",
        "UPDATE taskcore_version SET version_num = '9999'",
    )
    assert operations_work(own_url, "alice")


@pytest.mark.parametrize(
    "action",
    [
        lambda url: schema.upgrade(url, "no-such-revision"),
        lambda url: schema.downgrade(url, "no-such-revision"),
        lambda url: schema.downgrade(url, "-9"),
    ],
    ids=["up", "down", "below the base"],
)
def test_a_way_that_is_not_there_is_refused(
    own_url: str, dump: Dump, action: Callable[[str], None]
) -> None:
    before = dump(own_url)
    with pytest.raises(SchemaError, match="there is no way to that revision"):
        action(own_url)
    assert dump(own_url) == before
    assert schema.current(own_url) == schema.head()
