"""`migrate` and `status`: up, down, as a script, and the grant for a login."""

from __future__ import annotations

import subprocess
from urllib.parse import urlsplit

import psycopg
import pytest

from support.command import Cli
from taskcore import Database, TaskCreate, create_task, embedded, migrations
from taskcore.admin import connected
from taskcore.errors import TenantRoleRefused

HEAD = migrations.head()
REVISIONS = [name for name, _ in migrations.history()]


def test_up_prints_each_revision_that_runs(cli: Cli, empty_url: str) -> None:
    done = cli("migrate", DATABASE_URL=empty_url)
    assert done.code == 0
    assert [line for line in done.err.splitlines() if line.startswith("up to")] == [
        line
        for revision in REVISIONS
        for line in done.err.splitlines()
        if line.startswith(f"up to {revision}: ") and line.endswith(" s")
    ]
    assert migrations.current(empty_url) == HEAD
    assert cli("migrate", "--quiet", DATABASE_URL=empty_url) == (0, "", "")


def test_status_lists_the_pending_revisions(cli: Cli, empty_url: str) -> None:
    before = cli("status", "--json", DATABASE_URL=empty_url).json
    assert before["revision"] is None
    assert [line.split()[0] for line in before["pending"]] == REVISIONS
    assert before["users_table"] == "not adopted yet"
    assert cli("migrate", "--to", REVISIONS[0], DATABASE_URL=empty_url).code == 0
    half = cli("status", "--json", DATABASE_URL=empty_url).json
    assert half["revision"] == REVISIONS[0]
    assert len(half["pending"]) == len(REVISIONS) - 1
    cli("migrate", DATABASE_URL=empty_url)
    after = cli("status", "--json", DATABASE_URL=empty_url).json
    assert after == {
        "revision": HEAD,
        "head": HEAD,
        "pending": [],
        "users_table": "public.users",
        "users_table_is_ours": True,
        "role_exists": True,
        "login": "postgres",
        "login_may_take_role": True,
        "role_members": after["role_members"],
        "distributed": None,
    }


def test_status_reports_a_newer_revision(cli: Cli, own_url: str) -> None:
    with psycopg.connect(own_url) as connection:
        connection.execute("UPDATE taskcore_version SET version_num = '9999'")
    done = cli("status", DATABASE_URL=own_url)
    assert done.code == 0
    assert "9999 is newer" in done.err


def test_check_reports_drift_and_a_schema_that_is_behind(cli: Cli, own_url: str) -> None:
    assert cli("migrate", "--check", DATABASE_URL=own_url)[:2] == (0, "OK\n")
    with psycopg.connect(own_url) as connection:
        connection.execute("DROP INDEX public.ix_tasks_id_user_id")
    done = cli("migrate", "--check", DATABASE_URL=own_url)
    assert done.code == 1
    assert done.out == "index ix_tasks_id_user_id on tasks is missing\n"
    migrations.downgrade(own_url, "base")
    behind = cli("migrate", "--check", "--json", DATABASE_URL=own_url)
    assert behind.code == 1
    assert behind.json["ok"] is False
    assert any("not at" in line for line in behind.json["differences"])


def test_down_deletes_tasks_only_with_yes(cli: Cli, own_url: str) -> None:
    with Database(own_url) as database, connected(own_url) as session:
        session.execute("INSERT INTO public.users (id) VALUES ('ada')")
        database.run(create_task("ada", TaskCreate(title="one")))
    dry = cli("migrate", "--down", "--to", "base", "--dry-run", DATABASE_URL=own_url)
    assert dry.code == 0
    assert "1 tasks are lost" in dry.out
    asked = cli("migrate", "--down", "--to", "base", DATABASE_URL=own_url)
    assert asked.code == 2
    assert "--yes" in asked.err
    assert migrations.current(own_url) == HEAD
    # Going down one revision that deletes no tasks needs no `--yes`.
    assert cli("migrate", "--down", DATABASE_URL=own_url).code == 0
    assert migrations.current(own_url) == REVISIONS[-2]
    done = cli("migrate", "--down", "--to", "base", "--yes", "--json", DATABASE_URL=own_url)
    assert done.json == {"revision": None, "head": HEAD}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["--down", "--sql"], "choose one"),
        (["--check", "--grant", "x"], "choose one"),
        (["--dry-run"], "--dry-run goes with --down"),
        (["--to", "nowhere"], "there is no revision nowhere"),
        (["--to", REVISIONS[0]], "--down --to"),
        (["--down", "--to", "head"], "there is no revision head"),
        (["--down", "--to", HEAD], "not after"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_invalid_directions_are_wrong_use(
    cli: Cli, url: str, wrong: list[str], message: str
) -> None:
    done = cli("migrate", *wrong, DATABASE_URL=url)
    assert done.code == 2
    assert message in done.err
    assert migrations.current(url) == HEAD


def test_the_script_runs_in_psql_unchanged(
    cli: Cli, empty_url: str, postgres: embedded.Server
) -> None:
    script = cli("migrate", "--sql")
    assert script.code == 0
    psql = [str(postgres.bin / "psql"), "-qv", "ON_ERROR_STOP=1", empty_url]
    subprocess.run(psql, input=script.out, text=True, check=True, capture_output=True)
    assert cli("migrate", "--check", DATABASE_URL=empty_url).out == "OK\n"


def test_grant_lets_a_login_serve(cli: Cli, cluster: embedded.Server) -> None:
    """The granted login runs operations; a name that no login has is refused."""
    migrations.upgrade(cluster.url)
    with psycopg.connect(cluster.url) as connection:
        connection.execute("CREATE ROLE \"App 1\" LOGIN PASSWORD 'p'")
        connection.execute("INSERT INTO public.users (id) VALUES ('ada')")
    parts = urlsplit(cluster.url)
    app = parts._replace(netloc=f"App%201:p@{parts.hostname}:{parts.port}").geturl()
    with Database(app) as database, pytest.raises(TenantRoleRefused):
        database.run(create_task("ada", TaskCreate(title="one")))
    assert cli("migrate", "--grant", "unknown", DATABASE_URL=cluster.url).code == 2
    assert cli("migrate", "--grant", "App 1", DATABASE_URL=cluster.url).code == 0
    with Database(app) as database:
        database.run(create_task("ada", TaskCreate(title="one")))
    # The login may take the role; without the role it has no right on the table.
    with psycopg.connect(app) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("SELECT FROM public.tasks")
    status = cli("status", "--json", DATABASE_URL=cluster.url).json
    assert status["role_members"] == ["App 1"]
    refused = cli("status", DATABASE_URL=app)
    assert refused.code == 1
    assert refused.err.count("\n") == 1
    assert "may not" in refused.err
