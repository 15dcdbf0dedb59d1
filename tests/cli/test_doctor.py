"""`doctor`: all checks pass on a working setup, and each one fails when its subject is broken."""

from __future__ import annotations

import time

import psycopg
import pytest

from cli.doctor_findings import run_doctor
from support.command import Cli
from support.ports import closed_port
from taskcli.checks import CheckFailed, server
from taskcore import embedded, migrations
from taskcore.admin import connected, list_users

CHECKS = [
    *("configuration", "secret", "connection", "server version", "pooling", "clock"),
    *(
        "connections",
        "role",
        "schema",
        "drift",
        "schema public",
        "users table",
        "first lock",
        "second lock",
    ),
]


def test_all_checks_pass(cli: Cli, own_url: str) -> None:
    """With an empty users table and with one user; the rows that try the locks are removed."""
    for statement in ("SELECT", "INSERT INTO public.users (id) VALUES ('ada')"):
        with psycopg.connect(own_url) as connection:
            connection.execute(statement.encode())
        found = run_doctor(cli, own_url)
        assert list(found) == CHECKS
        assert found.failed == set()
        assert "asked for" in found["second lock"]["message"]
    with connected(own_url) as session:
        assert [(user.id, user.tasks) for user in list_users(session)] == [("ada", 0)]


def test_the_text_has_one_line_for_each_check(cli: Cli, own_url: str, secret: str) -> None:
    migrations.downgrade(own_url, "0001")
    done = cli("doctor", DATABASE_URL=own_url, BETTER_AUTH_SECRET=secret)
    assert done.code == 1
    lines = done.out.splitlines()
    assert len(lines) == len(CHECKS)
    assert lines[0] == "configuration: OK"
    assert "schema: FAILED - it is at 0001" in done.out
    assert "mend it with: taskcli migrate" in done.out
    assert "Traceback" not in done.err


CHANGES = {
    "DROP INDEX public.ix_tasks_id_user_id": {"drift"},
    "ALTER TABLE public.tasks DISABLE ROW LEVEL SECURITY": {"drift", "second lock"},
    "DROP POLICY taskcore_owner ON public.tasks": {"drift", "second lock"},
    "CREATE POLICY open ON public.tasks USING (true)": {"drift", "second lock"},
    "UPDATE public.taskcore_version SET version_num = '0001'": {"schema"},
    'CREATE TABLE public."user" (id text); INSERT INTO public."user" VALUES (\'a\')': {
        "users table"
    },
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_schema_fails_the_checks_concerned(cli: Cli, own_url: str, change: str) -> None:
    with psycopg.connect(own_url) as connection:
        connection.execute(change.encode())
    found = run_doctor(cli, own_url)
    assert found.failed == CHANGES[change]
    assert all(found[check]["message"] for check in found.failed)


def test_a_users_table_other_than_the_configured_one_fails(cli: Cli, own_url: str) -> None:
    with psycopg.connect(own_url) as connection:
        connection.execute('CREATE TABLE public."user" (id text PRIMARY KEY)')
    found = run_doctor(cli, own_url, TASKCORE_USERS_TABLE="user")
    assert found.failed == {"users table"}
    assert found["users table"]["mend"] == "taskcli users adopt 'user'"
    migrations.adopt_users(own_url, "user")
    after = run_doctor(cli, own_url, TASKCORE_USERS_TABLE="user")
    assert after.failed == set()
    assert "not tried" in after["first lock"]["message"]


def test_wrong_settings_are_named(cli: Cli, url: str) -> None:
    short = run_doctor(cli, url, BETTER_AUTH_SECRET="short")
    assert short.failed == {"configuration"}
    assert "BETTER_AUTH_SECRET" in short["configuration"]["message"]
    weak = run_doctor(cli, url, BETTER_AUTH_SECRET="better-auth-secret-123456789012345")
    assert weak.failed == {"secret"}
    assert weak["secret"]["mend"] == "openssl rand -base64 32"
    same = run_doctor(cli, url, BETTER_AUTH_SECRET="a1" * 20)
    assert same.failed == {"secret"}
    greedy = run_doctor(cli, url, "--workers", "9", TASKAPI_POOL_SIZE="200")
    assert greedy.failed == {"connections"}
    assert greedy["connections"]["mend"].startswith("TASKAPI_POOL_SIZE=")


def test_without_a_database_the_later_checks_are_skipped(cli: Cli) -> None:
    with closed_port() as port:
        found = run_doctor(cli, f"postgresql://x@127.0.0.1:{port}/x")
    assert found.failed == {"connection"}
    assert list(found) == ["configuration", "secret", "connection"]
    unset = cli("doctor", "--json")
    assert [finding["check"] for finding in unset.json["checks"]] == ["configuration"]
    assert "set DATABASE_URL" in unset.json["checks"][0]["message"]


def test_a_pooler_that_the_settings_deny_fails(cli: Cli) -> None:
    from taskapi.settings import Settings

    def settings(pooler: bool | None) -> Settings:
        values = {"BETTER_AUTH_SECRET": "x" * 32, "transaction_pooler": pooler}
        return Settings.model_validate({"DATABASE_URL": url, **values})

    url = "postgresql://me@ep-a-1-pooler.neon.example/db"
    with pytest.raises(CheckFailed, match="denies it"):
        server.pooling(url, settings(False), shared=False)
    assert "without prepared" in server.pooling(url, settings(None), shared=False)
    assert "with prepared" in server.pooling("postgresql://me@h/db", settings(None), shared=False)


def test_clocks_that_differ_fail(
    admin: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "ms" in server.clock(admin)
    for offset in (60, -60):
        monkeypatch.setattr(server, "time", lambda offset=offset: time.time() + offset)
        with pytest.raises(CheckFailed, match=r"differ by (59|60|61) s"):
            server.clock(admin)


def test_a_role_that_is_missing_or_refused_fails(cli: Cli, cluster: embedded.Server) -> None:
    """First the server's login may not take the role; then there is no role."""
    migrations.upgrade(cluster.url)
    with psycopg.connect(cluster.url, autocommit=True) as connection:
        connection.execute("CREATE ROLE app LOGIN PASSWORD 'p'")
        app = cluster.url.replace("postgres:", "app:p@", 1)
        app = f"postgresql://app:p@{cluster.url.rpartition('@')[2]}"
        owner = {"DATABASE_URL_UNPOOLED": cluster.url}
        refused = run_doctor(cli, app, **owner)
        assert refused.failed == {"role"}
        assert refused["role"]["mend"] == "taskcli migrate --grant app"
        assert cli("migrate", "--grant", "app", DATABASE_URL=cluster.url).code == 0
        assert run_doctor(cli, app, **owner).failed == set()
        migrations.downgrade(cluster.url, "base")
        connection.execute("DROP ROLE IF EXISTS taskcore_tenant")
    missing = run_doctor(cli, cluster.url)
    assert missing.failed >= {"role", "schema"}
    assert missing["role"]["mend"] == "taskcli migrate"
