"""A deploy across revisions: the schema is migrated first, while the old code still serves."""

from __future__ import annotations

import httpx

from faults.revisions import NEXT, CodeAhead
from faults.servers_on_one_socket import MakeServers
from faults.steady_rate import steady_requests
from support.api_server import Serve
from support.command import Cli
from support.figures import Figure
from support.http_contract import create
from support.polling import wait_until
from support.sql import fetch_column, run_sql

ADDING = (
    "ALTER TABLE public.tasks ADD COLUMN note text",
    "ALTER TABLE public.tasks DROP COLUMN note",
)
SUCCESS = {(200, ""), (201, "")}


def test_no_request_fails_while_the_schema_is_migrated_ahead_of_the_code(
    cli: Cli, own_url: str, code_ahead: CodeAhead, serve: Serve, figure: Figure
) -> None:
    ahead = code_ahead(*ADDING)
    run_sql(own_url, "INSERT INTO users (id) VALUES ('alice')")
    with serve(own_url) as api, steady_requests(api.base, "alice") as seen:
        seen.wait_for_more()
        assert cli("migrate", DATABASE_URL=own_url, PYTHONPATH=ahead).code == 0
        assert fetch_column(own_url, "SELECT version_num FROM taskcore_version") == [NEXT]
        seen.wait_for_more()
        assert seen.outcomes == SUCCESS
        figure(f"migrated one revision ahead under load: {len(seen.answers)} requests, 0 failed")
        # Control: a column that the code needs is renamed.
        run_sql(own_url, "ALTER TABLE tasks RENAME COLUMN title TO heading")
        seen.wait_for_more()
    assert seen.outcomes > SUCCESS


def test_code_on_a_schema_that_is_behind_is_not_ready_until_it_is_migrated(
    cli: Cli, own_url: str, secret: str, code_ahead: CodeAhead, make_servers: MakeServers
) -> None:
    ahead = code_ahead(*ADDING)
    run_sql(own_url, "INSERT INTO users (id) VALUES ('alice')")
    settings = {"DATABASE_URL": own_url, "BETTER_AUTH_SECRET": secret, "PYTHONPATH": ahead}
    refused = cli("serve", "--port", 0, **settings)
    assert refused.code == 1
    assert "run `taskcli migrate`" in refused.err
    servers = make_servers(own_url, PYTHONPATH=ahead)
    servers.start()
    with servers.client("alice") as client:

        def ready() -> httpx.Response:
            return client.get("/health/ready")

        behind = ready()
        assert (behind.status_code, behind.json()["code"]) == (503, "not_ready")
        assert behind.json()["checks"]["schema"] == "behind"
        assert cli("migrate", **settings).code == 0
        wait_until(lambda: ready().status_code == 200, "readiness")
        create(client)
