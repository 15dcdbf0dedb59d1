"""A commit that the server refuses: no write is reported as done that was rolled back.

A request is an implicit transaction, and its Sync commits it. What fails there, such as a deferred
trigger of a host's own, comes after the statement has succeeded. Requests that are transaction
blocks are in test_block_shape.py.
"""

from __future__ import annotations

import pytest

from support.drivers import Driver
from support.sql import fetch_column, run_sql
from taskcore import (
    DatabaseFault,
    DatabaseUnavailable,
    TaskcoreError,
    TaskCreate,
    TaskUpdate,
    create_task,
    delete_task,
    get_task,
    list_tasks,
    toggle_task,
    update_task,
)

ERRORS = {"XX000": DatabaseFault, "23514": TaskcoreError, "40001": DatabaseUnavailable}


def refuse_commits(url: str, sqlstate: str) -> None:
    run_sql(
        url,
        f"""
        CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION USING ERRCODE = '{sqlstate}', MESSAGE = 'not this commit';
        END $$
        """,
        "CREATE CONSTRAINT TRIGGER refuse AFTER INSERT OR UPDATE OR DELETE ON tasks "
        "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()",
    )


@pytest.mark.parametrize("prepare", [True, False])
@pytest.mark.parametrize("sqlstate", ERRORS)
def test_a_write_whose_commit_is_refused_raises_and_changes_nothing(
    own_url: str, driver: Driver, sqlstate: str, prepare: bool
) -> None:
    run_sql(own_url, "INSERT INTO users (id) VALUES ('alice')")
    with driver(own_url, min_size=1, max_size=1, prepare=prepare) as run:
        task = run(get_task("alice", run(create_task("alice", TaskCreate(title="one"))).id))
        writes = (
            update_task("alice", task.id, TaskUpdate(title="two")),
            toggle_task("alice", task.id),
            create_task("alice", TaskCreate(title="three")),
            delete_task("alice", task.id),
        )
        refuse_commits(own_url, sqlstate)
        for op in writes:
            with pytest.raises(ERRORS[sqlstate]) as refused:
                run(op)
            # The server has said that it is rolled back.
            assert not getattr(refused.value, "outcome_unknown", False)
            assert fetch_column(own_url, "SELECT title FROM tasks WHERE NOT completed") == ["one"]
            assert run(get_task("alice", task.id)) == task, "the connection goes on"

        # The control: without the trigger, each is done.
        run_sql(own_url, "DROP TRIGGER refuse ON tasks")
        for op in writes:
            run(op)
        assert [found.title for found in run(list_tasks("alice"))] == ["three"]


def test_a_read_beside_a_trigger_that_refuses_commits_is_answered(
    own_url: str, driver: Driver
) -> None:
    run_sql(own_url, "INSERT INTO users (id) VALUES ('alice')")
    with driver(own_url) as run:
        task = run(get_task("alice", run(create_task("alice", TaskCreate(title="one"))).id))
        refuse_commits(own_url, "XX000")
        assert run(list_tasks("alice")) == [task]
