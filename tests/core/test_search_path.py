"""A hostile search_path, with functions, tables and operators of its own, changes nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import LiteralString
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from support.drivers import RUNNERS
from taskcore import (
    NotTaskOwner,
    TaskCreate,
    TaskNotFound,
    TaskUpdate,
    UnknownUser,
    create_task,
    delete_task,
    get_task,
    list_tasks,
    set_task_completed,
    toggle_task,
    update_task,
)

# PostgreSQL skips a schema that a role may not use, so the tenant role gets the right to use it.
HOSTILE: LiteralString = """
CREATE SCHEMA hostile;
GRANT USAGE ON SCHEMA hostile TO PUBLIC;
CREATE DOMAIN hostile.text AS pg_catalog.varchar CHECK (value = 'b');
CREATE TABLE hostile.tasks (LIKE public.tasks INCLUDING ALL);
GRANT ALL ON hostile.tasks TO PUBLIC;
CREATE FUNCTION hostile.now() RETURNS timestamptz LANGUAGE sql AS $$ SELECT timestamptz 'epoch' $$;
CREATE FUNCTION hostile.taskcore_why_missed(text, uuid) RETURNS text
    LANGUAGE sql AS $$ SELECT '' $$;
CREATE FUNCTION hostile.current_setting(text, boolean) RETURNS text LANGUAGE sql AS $$ SELECT '' $$;
CREATE FUNCTION hostile.set_config(text, text, boolean) RETURNS text
    LANGUAGE sql AS $$ SELECT '' $$;
CREATE FUNCTION hostile.same(text, text) RETURNS boolean LANGUAGE sql AS $$ SELECT true $$;
CREATE FUNCTION hostile.same(uuid, uuid) RETURNS boolean LANGUAGE sql AS $$ SELECT true $$;
CREATE OPERATOR hostile.= (LEFTARG = text, RIGHTARG = text, FUNCTION = hostile.same);
CREATE OPERATOR hostile.= (LEFTARG = uuid, RIGHTARG = uuid, FUNCTION = hostile.same);
INSERT INTO public.users (id) VALUES ('alice'), ('bob');
"""


@pytest.fixture
def hostile_url(own_url: str) -> str:
    with psycopg.connect(own_url, autocommit=True) as admin:
        admin.execute(HOSTILE)
        name = sql.Identifier(admin.info.dbname)
        admin.execute(
            sql.SQL("ALTER DATABASE {} SET search_path = hostile, pg_catalog, public").format(name)
        )
    return own_url


def test_the_search_path_is_hostile(hostile_url: str) -> None:
    """Control: a name without a schema is found in the schema `hostile`."""
    with psycopg.connect(hostile_url) as plain:
        row = plain.execute(
            "SELECT now() = 'epoch', 'a'::text = 'b'::text, 'tasks'::regclass::oid,"
            " 'hostile.tasks'::regclass::oid"
        ).fetchone()
    assert row is not None
    assert row[:2] == (True, True)
    assert row[2] == row[3]


@pytest.mark.parametrize("name", RUNNERS)
def test_every_operation_ignores_the_search_path(name: str, hostile_url: str) -> None:
    with psycopg.connect(hostile_url) as plain:
        row = plain.execute("SELECT pg_catalog.now()").fetchone()
    assert row is not None
    with RUNNERS[name](hostile_url) as run:
        his = run(create_task("bob", TaskCreate(title="his")))
        task, other = (run(create_task("alice", TaskCreate(title=f"{n}"))) for n in range(2))
        assert abs(task.created_at - row[0]) < timedelta(minutes=5)
        changed = run(update_task("alice", task.id, TaskUpdate(title="changed")))
        assert changed.updated_at > task.updated_at
        assert run(toggle_task("alice", task.id)).completed
        assert not run(set_task_completed("alice", task.id, False)).completed
        assert run(get_task("alice", other.id)).model_dump() == other.model_dump()
        with pytest.raises(NotTaskOwner):
            run(get_task("alice", his.id))
        with pytest.raises(TaskNotFound):
            run(delete_task("alice", uuid4()))
        with pytest.raises(UnknownUser):
            run(list_tasks("unknown"))
        assert run(delete_task("alice", task.id)) == task.id
        assert [left.id for left in run(list_tasks("alice"))] == [other.id]
        assert [left.model_dump() for left in run(list_tasks("bob"))] == [his.model_dump()]
    with psycopg.connect(hostile_url) as plain:
        assert plain.execute("SELECT FROM hostile.tasks").fetchall() == []
