"""`repair` as a command, what `doctor` says before and after, and exports of one user."""

from __future__ import annotations

import json
import signal

import psycopg
import pytest

from cli.doctor_findings import run_doctor
from support.command import Cli
from support.polling import wait_until
from support.schema_dump import Psql
from support.sql import PASSWORD, as_login, fetch_column, run_sql
from taskcore import embedded, migrations
from taskcore.migrations import lock

NO_POLICY = "DROP POLICY taskcore_owner ON tasks"


def test_what_is_put_back_is_named(cli: Cli, own_url: str) -> None:
    run_sql(own_url, NO_POLICY)
    assert run_doctor(cli, own_url)["drift"]["mend"] == "taskcli repair"
    checked = cli("migrate", "--check", DATABASE_URL=own_url)
    assert "`taskcli repair` puts back" in checked.err
    done = cli("repair", DATABASE_URL=own_url)
    assert (done.code, done.out, done.err) == (0, "", "put back: policy taskcore_owner\n")
    assert run_doctor(cli, own_url).failed == set()
    again = cli("repair", DATABASE_URL=own_url)
    assert (again.code, again.err) == (0, "nothing differs; nothing was changed\n")


def test_a_dry_run_prints_sql_that_psql_takes(cli: Cli, own_url: str, psql: Psql) -> None:
    run_sql(own_url, NO_POLICY, "DROP INDEX ix_tasks_id_user_id")
    planned = cli("repair", "--dry-run", DATABASE_URL=own_url)
    assert planned.code == 0
    assert "would put back: policy taskcore_owner\n" in planned.err
    assert len(migrations.check(own_url)) == 2
    assert psql(own_url, planned.out).returncode == 0
    assert migrations.check(own_url) == []


def test_what_is_left_is_named_with_exit_code_1(cli: Cli, own_url: str) -> None:
    run_sql(own_url, NO_POLICY, "CREATE INDEX mine ON tasks (title)")
    done = cli("repair", "--json", DATABASE_URL=own_url)
    assert done.code == 1
    found = done.json
    assert set(found) == {"repaired", "left", "role_made", "sql", "changed"}
    assert found["repaired"] == ["policy taskcore_owner"]
    assert found["left"][0].startswith("index mine on tasks is not expected")
    assert "index mine on tasks" in done.err
    assert fetch_column(own_url, "SELECT 1 FROM pg_class WHERE relname = 'mine'") == [1]


def test_a_schema_that_is_behind_is_migrated_first(cli: Cli, own_url: str) -> None:
    migrations.downgrade(own_url)
    done = cli("repair", DATABASE_URL=own_url)
    assert done.code == 1
    assert "run the migrations first" in done.err


@pytest.mark.usefixtures("started_for_real")
def test_an_interrupted_repair_changes_nothing(cli: Cli, own_url: str) -> None:
    run_sql(own_url, "DROP INDEX ix_tasks_id_user_id")
    with psycopg.connect(own_url) as other:
        other.execute("SELECT pg_advisory_lock(%s)", [lock._NUMBER])
        process = cli.start("repair", DATABASE_URL=own_url)
        waits = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        wait_until(lambda: fetch_column(own_url, waits) == [1], "the repair waits")
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped: what was under way was rolled back" in said
    assert len(migrations.check(own_url)) == 1


def test_doctor_is_green_for_the_least_privileged_login(cli: Cli, cluster: embedded.Server) -> None:
    """The login may take the tenant role and has no other right; a fault is found all the same."""
    migrations.upgrade(cluster.url)
    run_sql(
        cluster.url,
        f"CREATE ROLE app LOGIN PASSWORD '{PASSWORD}'",
        "INSERT INTO users (id) VALUES ('ada')",
        "INSERT INTO tasks (user_id, id, title) VALUES ('ada', gen_random_uuid(), 'one')",
    )
    assert cli("migrate", "--grant", "app", DATABASE_URL=cluster.url).code == 0
    app = as_login(cluster.url, "app")
    found = run_doctor(cli, app)
    assert found.failed == set()
    assert found["schema"]["message"] == f"{migrations.head()} (head)"
    assert "only the login that owns the tasks can check" in found["owner's login"]["message"]
    assert "DATABASE_URL_UNPOOLED" in found["owner's login"]["message"]
    assert not {"drift", "users table", "first lock"} & set(found)
    # With the owner's login beside it, everything is checked.
    both = run_doctor(cli, app, DATABASE_URL_UNPOOLED=cluster.url)
    assert both.failed == set()
    assert {"drift", "users table", "first lock"} <= set(both)
    run_sql(cluster.url, "ALTER TABLE tasks DISABLE ROW LEVEL SECURITY")
    assert run_doctor(cli, app).failed == {"second lock"}


def test_several_logins_are_granted_at_once(cli: Cli, cluster: embedded.Server) -> None:
    run_sql(cluster.url, "CREATE ROLE one LOGIN", "CREATE ROLE two LOGIN")
    done = cli("migrate", "--grant", "one", "--grant", "two", DATABASE_URL=cluster.url)
    assert done.code == 0
    members = cli("status", "--json", DATABASE_URL=cluster.url).json["role_members"]
    assert {"one", "two"} <= set(members)


def test_all_that_is_kept_of_a_user_is_one_document(cli: Cli, own_url: str) -> None:
    cli("users", "add", "ada", "--email", "a@example.com", DATABASE_URL=own_url)
    empty = json.loads(cli("users", "export", "ada", DATABASE_URL=own_url).out)
    assert empty["tasks"] == []
    add = "INSERT INTO tasks (user_id, id, title) VALUES ('{}', gen_random_uuid(), 'one')"
    cli("users", "add", "bob", DATABASE_URL=own_url)
    run_sql(own_url, add.format("ada"), add.format("ada"), add.format("bob"))
    done = cli("users", "export", "ada", DATABASE_URL=own_url)
    assert done.err == "ada was written, with 2 tasks\n"
    found = done.json
    assert found["users_table"] == "public.users"
    assert set(found["user"]) == {"id", "email", "name", "created_at"}
    assert found["user"]["email"] == "a@example.com"
    assert [task["user_id"] for task in found["tasks"]] == ["ada", "ada"]
    missing = cli("users", "export", "carol", DATABASE_URL=own_url)
    assert (missing.code, missing.out) == (1, "")


def test_of_a_user_of_another_program_the_id_and_the_tasks_are_kept(
    cli: Cli, empty_url: str
) -> None:
    run_sql(
        empty_url,
        'CREATE TABLE "user" (id text PRIMARY KEY, email text)',
        "INSERT INTO \"user\" VALUES ('u1', 'a@example.com')",
    )
    migrations.upgrade(empty_url)
    found = cli("users", "export", "u1", DATABASE_URL=empty_url).json
    assert found == {"users_table": 'public."user"', "user": {"id": "u1"}, "tasks": []}
