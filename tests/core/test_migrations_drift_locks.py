"""The check names each difference of the second lock: the policy, the grants, the function."""

from __future__ import annotations

import pytest

from support.sql import run_sql
from taskcore import migrations

WHY = "taskcore_why_missed(owner text, task uuid)"
TENANT = "taskcore_tenant"
EXTRA = "CREATE POLICY extra ON tasks FOR SELECT TO taskcore_tenant USING (true)"
OVERLOAD = "CREATE FUNCTION taskcore_why_missed(text) RETURNS text LANGUAGE sql AS 'SELECT $1'"
OTHER_BODY = (
    "CREATE OR REPLACE FUNCTION taskcore_why_missed(owner text, task uuid) RETURNS text "
    "LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'SELECT $1'"
)

DRIFTS = {
    "disabled": (
        "ALTER TABLE tasks DISABLE ROW LEVEL SECURITY",
        "row-level security on tasks is 'disabled', not 'enabled'",
    ),
    "forced": (
        "ALTER TABLE tasks FORCE ROW LEVEL SECURITY",
        "row-level security on tasks is 'enabled, forced on the owner', not 'enabled'",
    ),
    "no policy": ("DROP POLICY taskcore_owner ON tasks", "policy taskcore_owner is missing"),
    "other policy": (
        "ALTER POLICY taskcore_owner ON tasks USING (true)",
        "policy taskcore_owner is",
    ),
    "other check": (
        "ALTER POLICY taskcore_owner ON tasks WITH CHECK (true)",
        "policy taskcore_owner is",
    ),
    "policy for all": (
        "ALTER POLICY taskcore_owner ON tasks TO PUBLIC",
        "policy taskcore_owner is",
    ),
    "extra policy": (
        EXTRA,
        "policy extra is not expected: permissive r to {taskcore_tenant}",
    ),
    "missing grant": (
        f"REVOKE DELETE ON tasks FROM {TENANT}",
        f"grants on tasks to {TENANT} is 'INSERT, SELECT, UPDATE', not 'DELETE",
    ),
    "no grants": (
        f"REVOKE ALL ON tasks FROM {TENANT}",
        f"grants on tasks to {TENANT} is missing",
    ),
    "extra grant": (
        f"GRANT TRUNCATE ON tasks TO {TENANT}",
        f"grants on tasks to {TENANT} is 'DELETE, INSERT, SELECT, TRUNCATE, UPDATE', not",
    ),
    "grant option": (
        f"GRANT SELECT ON tasks TO {TENANT} WITH GRANT OPTION",
        f"grants on tasks to {TENANT} is 'DELETE, INSERT, SELECT with grant option, UPDATE', not",
    ),
    "grant on the users": (
        f"GRANT SELECT ON users TO {TENANT}",
        f"grants on users to {TENANT} is not expected: SELECT",
    ),
    "grant to all": (
        "GRANT SELECT ON tasks TO PUBLIC",
        "grants on tasks to PUBLIC is not expected: SELECT",
    ),
    "grant on a column": (
        f"GRANT REFERENCES (title) ON tasks TO {TENANT}",
        f"grants on column tasks.title to {TENANT} is not expected: REFERENCES",
    ),
    "column to all": (
        "GRANT SELECT (title) ON tasks TO PUBLIC",
        "grants on column tasks.title to PUBLIC is not expected: SELECT",
    ),
    "revision hidden": (
        f"REVOKE SELECT ON taskcore_version FROM {TENANT}",
        f"grants on taskcore_version to {TENANT} is missing",
    ),
    "schema closed": (
        f"REVOKE USAGE ON SCHEMA public FROM {TENANT}, PUBLIC",
        f"grants on the schema to {TENANT} is '', not 'USAGE'",
    ),
    "no function": (f"DROP FUNCTION {WHY}", f"function {WHY} is missing"),
    "other body": (OTHER_BODY, f"function {WHY} is"),
    "invoker": (f"ALTER FUNCTION {WHY} SECURITY INVOKER", f"function {WHY} is"),
    "volatile": (f"ALTER FUNCTION {WHY} VOLATILE", f"function {WHY} is"),
    "search_path": (f"ALTER FUNCTION {WHY} SET search_path = public", f"function {WHY} is"),
    "no search_path": (f"ALTER FUNCTION {WHY} RESET search_path", f"function {WHY} is"),
    "overload": (OVERLOAD, "function taskcore_why_missed(text) is not expected"),
    "aggregate": (
        "CREATE AGGREGATE taskcore_sum(int) (SFUNC = int4pl, STYPE = int)",
        "function taskcore_sum(integer) is not expected: an aggregate",
    ),
    "execute for all": (
        f"GRANT EXECUTE ON FUNCTION {WHY} TO PUBLIC",
        f"grants on function {WHY} to PUBLIC is not expected: EXECUTE",
    ),
    "no execute": (
        f"REVOKE EXECUTE ON FUNCTION {WHY} FROM {TENANT}",
        f"grants on function {WHY} to {TENANT} is missing",
    ),
    "other owner": (
        f"ALTER FUNCTION {WHY} OWNER TO pg_monitor",
        f"owner of function {WHY} is 'pg_monitor', not 'the owner of the tasks'",
    ),
}


@pytest.mark.parametrize(("change", "expected"), DRIFTS.values(), ids=list(DRIFTS))
def test_a_difference_is_named(own_url: str, change: str, expected: str) -> None:
    assert migrations.check(own_url) == []
    run_sql(own_url, change)
    found = migrations.check(own_url)
    assert any(sentence.startswith(expected) for sentence in found), found
    assert len(found) <= 3


def test_grants_on_tables_of_others_are_none_of_ours(own_url: str) -> None:
    """A service's own tables take part in a binding by a grant to the tenant role."""
    run_sql(
        own_url,
        "CREATE TABLE notes (user_id text REFERENCES users, text text)",
        f"GRANT SELECT, INSERT ON notes TO {TENANT}",
        f"GRANT UPDATE (text) ON notes TO {TENANT}",
    )
    assert migrations.check(own_url) == []
    # Control: the same on a table of ours is a difference.
    run_sql(own_url, f"GRANT UPDATE (title) ON tasks TO {TENANT}")
    assert len(migrations.check(own_url)) == 1


def test_an_upgrade_does_not_hide_a_difference(own_url: str) -> None:
    run_sql(own_url, EXTRA)
    migrations.upgrade(own_url)
    assert len(migrations.check(own_url)) == 1
