"""A repair puts back what the check names, touches no row, and names what it leaves."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from core import test_migrations_drift_locks as locks
from core import test_migrations_drift_tables as tables
from support.schema_dump import Dump, Psql
from support.sql import as_login, fetch_column, operations_work, run_sql
from taskcore import migrations
from taskcore.embedded import Server
from taskcore.errors import (
    NotPermitted,
    SchemaError,
    SchemaLocked,
    TenantRoleNotCreated,
    UntrustedObject,
)

TENANT = "taskcore_tenant"
DRIFTS = {**locks.DRIFTS, **tables.DRIFTS}
# What is not expected is not dropped, and a column's type or a missing column is data.
LEFT = {
    *("extra policy", "grant on the users", "overload", "aggregate"),
    *("extra column", "missing column", "renamed column", "type", "length", "time without zone"),
    *("collation", "generated", "extra unique", "extra check", "unlogged", "trigger", "rule"),
    "extra index",
    *("our users, missing column", "our users, extra column"),
}
REFUSED = {"other owner"}


@pytest.fixture
def filled_url(own_url: str) -> str:
    run_sql(
        own_url,
        "INSERT INTO users (id) VALUES ('alice')",
        "INSERT INTO tasks (user_id, id, title, description) "
        "VALUES ('alice', gen_random_uuid(), 'kept', 'x')",
    )
    return own_url


def rows(url: str) -> list[object]:
    return fetch_column(url, "SELECT (t.xmin, t.*)::text FROM tasks t")


@pytest.mark.parametrize("kind", [kind for kind in DRIFTS if kind not in LEFT | REFUSED])
def test_a_difference_is_put_back(filled_url: str, dump: Dump, kind: str) -> None:
    change, expected = DRIFTS[kind]
    before = dump(filled_url)
    run_sql(filled_url, change)
    kept = rows(filled_url)
    done = migrations.repair(filled_url)
    assert migrations.check(filled_url) == []
    assert (done.left, done.role_made) == ([], False)
    assert any(expected.startswith(name) for name in done.repaired)
    assert rows(filled_url) == kept
    if kind != "schema closed":  # what PUBLIC may do there is not ours
        assert sorted(dump(filled_url)) == sorted(before)
    assert operations_work(filled_url, "alice")


@pytest.mark.parametrize("kind", sorted(LEFT))
def test_what_is_not_expected_is_named_and_left(filled_url: str, dump: Dump, kind: str) -> None:
    change, expected = DRIFTS[kind]
    if kind in tables.UNLOCKED:
        run_sql(filled_url, tables.UNLOCKED[kind])
    run_sql(filled_url, change, f"REVOKE DELETE ON tasks FROM {TENANT}")
    found, kept = migrations.check(filled_url), rows(filled_url)
    done = migrations.repair(filled_url)
    assert done.left == migrations.check(filled_url)
    assert any(sentence.startswith(expected) for sentence in done.left), done.left
    # Control: what stands beside it is put back.
    assert f"grants on tasks to {TENANT}" in done.repaired
    assert len(done.left) < len(found)
    assert rows(filled_url) == kept


def test_an_object_of_an_untrusted_login_is_refused(filled_url: str, dump: Dump) -> None:
    run_sql(filled_url, DRIFTS["other owner"][0])
    before = dump(filled_url)
    with pytest.raises(UntrustedObject, match=r"taskcore_why_missed belongs to the login pg_mon"):
        migrations.repair(filled_url)
    assert dump(filled_url) == before


def test_without_a_difference_nothing_is_run(own_url: str) -> None:
    assert migrations.repair(own_url) == ([], [], False, [])


def test_a_schema_that_is_behind_is_refused(own_url: str) -> None:
    migrations.downgrade(own_url)
    with pytest.raises(SchemaError, match="run the migrations first"):
        migrations.repair(own_url)


def test_rows_that_contradict_a_constraint_leave_it_away_and_are_named(filled_url: str) -> None:
    run_sql(
        filled_url,
        "ALTER TABLE tasks DROP CONSTRAINT pk_tasks",
        "INSERT INTO tasks SELECT * FROM tasks",
        "ALTER TABLE tasks DISABLE ROW LEVEL SECURITY",
    )
    done = migrations.repair(filled_url)
    assert "constraint pk_tasks on tasks is missing (rows that are there contradict it)" in (
        done.left
    )
    assert done.repaired == ["row-level security on tasks"]
    assert migrations.check(filled_url) == [
        "constraint pk_tasks on tasks is missing",
        "index pk_tasks on tasks is missing",
    ]


# --- the users table ------------------------------------------------------------------------------

NO_KEY = "ALTER TABLE tasks DROP CONSTRAINT fk_tasks_user_id"
NO_FUNCTION = "DROP FUNCTION taskcore_why_missed(text, uuid)"


def test_a_task_without_its_user_stops_the_foreign_key_only(filled_url: str) -> None:
    run_sql(filled_url, NO_KEY, "DELETE FROM users", "DROP INDEX ix_tasks_id_user_id")
    done = migrations.repair(filled_url)
    assert done.left == [
        "constraint fk_tasks_user_id on tasks is missing "
        "(the users table public.users does not know the owners of 1 tasks)"
    ]
    assert done.repaired == ["index ix_tasks_id_user_id on tasks"]


def test_the_foreign_key_refers_to_the_table_that_the_function_asks(empty_url: str) -> None:
    """Better Auth's table is found again, though a table of our name has come beside it."""
    run_sql(empty_url, 'CREATE TABLE "us:er" (id text PRIMARY KEY)')
    migrations.upgrade(empty_url, users_table='public."us:er"')
    run_sql(empty_url, NO_KEY, "CREATE TABLE users (id text PRIMARY KEY)")
    assert migrations.repair(empty_url).left == []
    target = "SELECT confrelid::regclass::text FROM pg_constraint WHERE conname LIKE 'fk_tasks%'"
    assert fetch_column(empty_url, target) == ['"us:er"']
    assert migrations.check(empty_url) == []


def test_without_key_and_function_the_users_table_has_to_be_named(
    filled_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_sql(filled_url, NO_KEY, NO_FUNCTION)
    refused = migrations.repair(filled_url)
    assert refused.repaired == []
    assert all("taskcli users adopt TABLE" in sentence for sentence in refused.left)
    monkeypatch.setenv(migrations.USERS_TABLE_VARIABLE, "users")
    assert migrations.repair(filled_url).left == []
    assert migrations.check(filled_url) == []
    assert operations_work(filled_url, "alice")
    run_sql(filled_url, NO_KEY, NO_FUNCTION)
    monkeypatch.setenv(migrations.USERS_TABLE_VARIABLE, "none")
    assert migrations.repair(filled_url).left == []
    assert operations_work(filled_url, "unknown")


# --- the role -------------------------------------------------------------------------------------


@pytest.fixture
def owned(make_login: Callable[[str, str], None], make_owned: Callable[[str], str]) -> str:
    make_login("owner", "CREATEROLE")
    url = make_owned("owner")
    migrations.upgrade(url)
    run_sql(url, "INSERT INTO users (id) VALUES ('alice')")
    return url


def drop_role(roles: Server, url: str) -> str:
    in_it = roles.url_for(url.rpartition("/")[2])
    run_sql(in_it, f"DROP OWNED BY {TENANT}", f"DROP ROLE {TENANT}")
    return in_it


def test_a_lost_role_comes_back_with_the_policy_and_the_grants(roles: Server, owned: str) -> None:
    drop_role(roles, owned)
    done = migrations.repair(owned)
    assert done.role_made
    assert {f"role {TENANT}", "policy taskcore_owner", f"grants on tasks to {TENANT}"} <= {
        *done.repaired
    }
    assert migrations.check(owned) == []
    assert operations_work(owned, "alice")
    assert not migrations.repair(owned).role_made


def test_a_dry_run_gives_the_script_and_changes_nothing(
    roles: Server, owned: str, dump: Dump, psql: Psql
) -> None:
    drop_role(roles, owned)
    run_sql(owned, NO_KEY)
    before = dump(owned)
    planned = migrations.repair(owned, dry_run=True)
    assert migrations.check(owned) == [f"role {TENANT} is missing"]
    assert dump(owned) == before
    assert f"role {TENANT}" in planned.repaired
    assert psql(owned, "".join(f"{it};\n" for it in planned.sql)).returncode == 0
    assert migrations.check(owned) == []
    assert operations_work(owned, "alice")


def test_rights_that_the_role_should_not_have_are_taken_away(roles: Server, owned: str) -> None:
    for right in ("LOGIN", "CREATEDB", "CREATEROLE BYPASSRLS"):
        run_sql(roles.url, f"ALTER ROLE {TENANT} {right}")
        in_it = roles.url_for(owned.rpartition("/")[2])
        assert migrations.repair(in_it).repaired == [f"role {TENANT}"]
        assert migrations.check(owned) == []


def test_a_login_that_may_not_change_the_role_is_told_the_statement(
    roles: Server, owned: str
) -> None:
    run_sql(roles.url, f"ALTER ROLE {TENANT} BYPASSRLS")
    with pytest.raises(NotPermitted, match=f"ALTER ROLE {TENANT} NOBYPASSRLS;"):
        migrations.repair(owned)
    run_sql(roles.url, f"ALTER ROLE {TENANT} NOBYPASSRLS")
    drop_role(roles, owned)
    run_sql(roles.url, "ALTER ROLE owner NOCREATEROLE")
    with pytest.raises(TenantRoleNotCreated, match=f"CREATE ROLE {TENANT} NOLOGIN"):
        migrations.repair(owned)


def test_a_membership_of_the_role_is_refused_and_stays(roles: Server, owned: str) -> None:
    run_sql(roles.url, f"GRANT pg_read_all_data TO {TENANT}")
    run_sql(owned, "DROP INDEX ix_tasks_id_user_id")
    with pytest.raises(SchemaError, match="membership in another role"):
        migrations.repair(owned)
    assert len(migrations.check(owned)) == 2


# --- locks ----------------------------------------------------------------------------------------


def test_a_lock_that_is_held_stops_the_repair_and_is_named(filled_url: str) -> None:
    run_sql(filled_url, "DROP POLICY taskcore_owner ON tasks")
    with psycopg.connect(filled_url) as other:
        other.execute("SELECT FROM tasks")
        pid = other.info.backend_pid
        for dry_run in (False, True):
            with pytest.raises(SchemaLocked, match=rf"held by process {pid}\)"):
                migrations.repair(filled_url, lock_timeout=0.1, dry_run=dry_run)
        assert migrations.check(filled_url) == ["policy taskcore_owner is missing"]
    assert migrations.repair(filled_url).left == []


def test_a_repair_waits_for_a_migration_of_the_same_database(filled_url: str) -> None:
    from taskcore.migrations import lock

    with (
        lock.only_migration(filled_url, 1),
        pytest.raises(SchemaLocked, match="could not be taken in time"),
    ):
        migrations.repair(filled_url, turn_timeout=0.1)


def test_another_login_than_the_owner_changes_nothing(
    roles: Server, owned: str, make_login: Callable[[str, str], None]
) -> None:
    make_login("app", "")
    run_sql(owned, "DROP INDEX ix_tasks_id_user_id")
    with pytest.raises(SchemaError, match="the login may not do this"):
        migrations.repair(as_login(owned, "app"))


def test_what_a_repair_changes_goes_to_every_node_of_a_cluster(filled_url: str) -> None:
    """The check builds a schema to compare with, which does not; its setting ends with that."""
    run_sql(
        filled_url,
        "CREATE TABLE seen (tag text, propagated text)",
        """
        CREATE FUNCTION note() RETURNS event_trigger LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO public.seen
            VALUES (tg_tag, current_setting('citus.enable_ddl_propagation', true));
        END $$
        """,
        "CREATE EVENT TRIGGER note ON ddl_command_end EXECUTE FUNCTION note()",
        "DROP POLICY taskcore_owner ON tasks",
    )
    run_sql(filled_url, "TRUNCATE seen")
    assert migrations.repair(filled_url).left == []
    off = "SELECT DISTINCT tag FROM seen WHERE propagated IS NOT DISTINCT FROM 'off'"
    assert fetch_column(filled_url, f"{off} AND tag = 'CREATE POLICY'") == []
    assert "CREATE POLICY" in fetch_column(filled_url, "SELECT tag FROM seen")
