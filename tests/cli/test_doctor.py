"""`doctor`: each check provoked, and all of them well."""

from __future__ import annotations

import http.server
import json
import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm

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


class Examined(dict[str, dict[str, Any]]):
    """What doctor found, by check."""

    code: int

    @property
    def failed(self) -> set[str]:
        return {check for check, finding in self.items() if not finding["ok"]}


def examined(cli: Cli, url: str, *arguments: str, **variables: str) -> Examined:
    strong = {"BETTER_AUTH_SECRET": "Zb8kQ1w2E3r4T5y6U7i8O9p0AsDfGhJkLm", **variables}
    done = cli("doctor", "--json", *arguments, DATABASE_URL=url, **strong)
    findings = done.json["checks"]
    assert all(set(finding) == {"check", "ok", "message", "mend"} for finding in findings)
    found = Examined({finding["check"]: finding for finding in findings})
    found.code = done.code
    assert done.json["ok"] is (not found.failed)
    assert done.code == (1 if found.failed else 0)
    return found


def test_all_is_well(cli: Cli, own_url: str) -> None:
    """Without a user, and with one; what was made to try the locks is gone."""
    for statement in ("SELECT", "INSERT INTO public.users (id) VALUES ('ada')"):
        with psycopg.connect(own_url) as connection:
            connection.execute(statement.encode())
        found = examined(cli, own_url)
        assert list(found) == CHECKS
        assert found.failed == set()
        assert "asked for" in found["second lock"]["message"]
    with connected(own_url) as session:
        assert [(user.id, user.tasks) for user in list_users(session)] == [("ada", 0)]


def test_a_line_a_check_for_people(cli: Cli, own_url: str, secret: str) -> None:
    migrations.downgrade(own_url, "0001")
    done = cli("doctor", DATABASE_URL=own_url, BETTER_AUTH_SECRET=secret)
    assert done.code == 1
    lines = done.out.splitlines()
    assert len(lines) == len(CHECKS)
    assert lines[0] == "configuration: OK"
    assert "schema: FAILED - it is at 0001" in done.out
    assert "mend it with: taskcli migrate" in done.out
    assert "Traceback" not in done.err


SPOILT = {
    "DROP INDEX public.ix_tasks_id_user_id": {"drift"},
    "ALTER TABLE public.tasks DISABLE ROW LEVEL SECURITY": {"drift", "second lock"},
    "DROP POLICY taskcore_owner ON public.tasks": {"drift", "first lock", "second lock"},
    "CREATE POLICY open ON public.tasks USING (true)": {"drift", "second lock"},
    "UPDATE public.taskcore_version SET version_num = '0001'": {"schema"},
    'CREATE TABLE public."user" (id text); INSERT INTO public."user" VALUES (\'a\')': {
        "users table"
    },
}


@pytest.mark.parametrize("spoil", SPOILT)
def test_what_is_spoilt_is_named(cli: Cli, own_url: str, spoil: str) -> None:
    with psycopg.connect(own_url) as connection:
        connection.execute(spoil.encode())
    found = examined(cli, own_url)
    assert found.failed == SPOILT[spoil]
    assert all(found[check]["message"] for check in found.failed)


def test_another_users_table_than_was_asked_for(cli: Cli, own_url: str) -> None:
    with psycopg.connect(own_url) as connection:
        connection.execute('CREATE TABLE public."user" (id text PRIMARY KEY)')
    found = examined(cli, own_url, TASKCORE_USERS_TABLE="user")
    assert found.failed == {"users table"}
    assert found["users table"]["mend"] == "taskcli users adopt 'user'"
    migrations.adopt_users(own_url, "user")
    after = examined(cli, own_url, TASKCORE_USERS_TABLE="user")
    assert after.failed == set()
    assert "not tried" in after["first lock"]["message"]


def test_settings_that_are_wrong_are_named(cli: Cli, url: str) -> None:
    short = examined(cli, url, BETTER_AUTH_SECRET="short")
    assert short.failed == {"configuration"}
    assert "BETTER_AUTH_SECRET" in short["configuration"]["message"]
    weak = examined(cli, url, BETTER_AUTH_SECRET="better-auth-secret-123456789012345")
    assert weak.failed == {"secret"}
    assert weak["secret"]["mend"] == "openssl rand -base64 32"
    same = examined(cli, url, BETTER_AUTH_SECRET="a1" * 20)
    assert same.failed == {"secret"}
    greedy = examined(cli, url, "--workers", "9", TASKAPI_POOL_SIZE="200")
    assert greedy.failed == {"connections"}
    assert greedy["connections"]["mend"].startswith("TASKAPI_POOL_SIZE=")


def test_without_a_database_the_rest_is_left(cli: Cli) -> None:
    with closed_port() as port:
        found = examined(cli, f"postgresql://x@127.0.0.1:{port}/x")
    assert found.failed == {"connection"}
    assert list(found) == ["configuration", "secret", "connection"]
    unset = cli("doctor", "--json")
    assert [finding["check"] for finding in unset.json["checks"]] == ["configuration"]
    assert "set DATABASE_URL" in unset.json["checks"][0]["message"]


def test_a_pooler_that_is_denied(cli: Cli) -> None:
    from taskapi.settings import Settings

    def settings(pooler: bool | None) -> Settings:
        values = {"BETTER_AUTH_SECRET": "x" * 32, "transaction_pooler": pooler}
        return Settings.model_validate({"DATABASE_URL": url, **values})

    url = "postgresql://me@ep-a-1-pooler.neon.example/db"
    with pytest.raises(CheckFailed, match="denies it"):
        server.pooling(url, settings(False), shared=False)
    assert "without prepared" in server.pooling(url, settings(None), shared=False)
    assert "with prepared" in server.pooling("postgresql://me@h/db", settings(None), shared=False)


def test_clocks_that_differ(admin: psycopg.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "ms" in server.clock(admin)
    for offset in (60, -60):
        monkeypatch.setattr(server, "time", lambda offset=offset: time.time() + offset)
        with pytest.raises(CheckFailed, match=r"differ by (59|60|61) s"):
            server.clock(admin)


def test_a_role_that_is_missing_or_refused(cli: Cli, cluster: embedded.Server) -> None:
    """A server's login that may not take the role; then no role at all."""
    migrations.upgrade(cluster.url)
    with psycopg.connect(cluster.url, autocommit=True) as connection:
        connection.execute("CREATE ROLE app LOGIN PASSWORD 'p'")
        app = cluster.url.replace("postgres:", "app:p@", 1)
        app = f"postgresql://app:p@{cluster.url.rpartition('@')[2]}"
        owner = {"DATABASE_URL_UNPOOLED": cluster.url}
        refused = examined(cli, app, **owner)
        assert refused.failed == {"role"}
        assert refused["role"]["mend"] == "taskcli migrate --grant app"
        assert cli("migrate", "--grant", "app", DATABASE_URL=cluster.url).code == 0
        assert examined(cli, app, **owner).failed == set()
        migrations.downgrade(cluster.url, "base")
        connection.execute("DROP ROLE IF EXISTS taskcore_tenant")
    missing = examined(cli, cluster.url)
    assert missing.failed >= {"role", "schema"}
    assert missing["role"]["mend"] == "taskcli migrate"


@pytest.fixture
def jwks_server() -> Iterator[str]:
    """A place that has a key set, and one that doesn't."""
    key = json.loads(OKPAlgorithm.to_jwk(Ed25519PrivateKey.generate().public_key()))
    document = json.dumps({"keys": [{**key, "kid": "k1"}]}).encode()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/keys" else 404)
            self.end_headers()
            self.wfile.write(document)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()
        thread.join()


def test_the_key_set_is_fetched(cli: Cli, url: str, jwks_server: str) -> None:
    def keys(place: str) -> Any:
        return examined(cli, url, BETTER_AUTH_URL=jwks_server, JWKS_URL=place)["keys"]

    there = keys(f"{jwks_server}/keys")
    assert (there["ok"], there["message"]) == (True, "k1 (EdDSA)")
    elsewhere = keys(f"{jwks_server}/nothing")
    assert not elsewhere["ok"] and "404" in elsewhere["message"]
    with closed_port() as port:
        nowhere = keys(f"http://127.0.0.1:{port}/keys")
    assert not nowhere["ok"] and "can't be reached" in nowhere["message"]
    assert os.environ.get("JWKS_URL") is None
