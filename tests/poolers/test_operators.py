"""An operator behind PgBouncer: doctor finds it, and no setting reaches other clients."""

from __future__ import annotations

import psycopg
import pytest

from support.command import Cli
from support.pgbouncer import Mode, running_pgbouncer
from taskcli.checks.server import shares_connections
from taskcore import migrations

SETTINGS = "SELECT current_setting('search_path'), current_setting('row_security'), current_user"


def pooling(cli: Cli, url: str, secret: str, **settings: str) -> tuple[bool, str, str | None]:
    done = cli("doctor", "--json", DATABASE_URL=url, BETTER_AUTH_SECRET=secret, **settings)
    findings = {finding["check"]: finding for finding in done.json["checks"]}
    assert {name for name, finding in findings.items() if not finding["ok"]} <= {"pooling"}
    return tuple(findings["pooling"][key] for key in ("ok", "message", "mend"))


@pytest.mark.parametrize("size", [1, 2, 20])
def test_doctor_finds_a_transaction_pooler_by_asking(
    cli: Cli, own_url: str, secret: str, size: int
) -> None:
    mend = "TASKAPI_TRANSACTION_POOLER=true"
    with running_pgbouncer(own_url, "transaction", size) as route:
        ok, message, said = pooling(cli, route(own_url), secret)
        assert (ok, said) == (False, mend)
        assert "there is a transaction pooler" in message
        denied = pooling(cli, route(own_url), secret, TASKAPI_TRANSACTION_POOLER="false")
        assert (denied[0], denied[2]) == (False, mend)
        told = pooling(cli, route(own_url), secret, TASKAPI_TRANSACTION_POOLER="true")
        assert told == (True, "through a transaction pooler, without prepared statements", None)


def test_doctor_finds_none_where_there_is_none(cli: Cli, own_url: str, secret: str) -> None:
    """The control: a direct connection, and a pooler that leaves each client its connection."""
    expected = (True, "direct, with prepared statements", None)
    assert pooling(cli, own_url, secret) == expected
    with running_pgbouncer(own_url, "session") as route:
        assert pooling(cli, route(own_url), secret) == expected


@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_no_setting_of_an_operator_reaches_another_client(
    mode: Mode, cli: Cli, own_url: str
) -> None:
    with running_pgbouncer(own_url, mode, 1) as route:
        url = route(own_url)
        for verb in ("status", "stats", "users list", "seed --users 2 --tasks 5", "tasks export"):
            assert cli(*verb.split(), DATABASE_URL=url).code == 0
        assert migrations.check(url) == []
        with psycopg.connect(url) as other:
            assert other.execute(SETTINGS).fetchone() == ('"$user", public', "on", "postgres")


def test_two_clients_with_one_server_connection_are_seen(own_url: str) -> None:
    with running_pgbouncer(own_url, "transaction", 1) as route:
        assert shares_connections(route(own_url))
    assert not shares_connections(own_url)
