"""Readiness on a cluster: how many nodes answer, and 503 only when none does."""

from __future__ import annotations

from support.api_server import Serve
from support.polling import wait_until
from support.sql import run_sql

AWAY = "UPDATE pg_dist_node SET nodename = 'away' WHERE nodename = "


def test_a_node_that_is_away_is_counted_and_the_last_one_ends_readiness(
    serve: Serve, distributed_url: str
) -> None:
    with serve(distributed_url) as api, api.client() as client:

        def says(status: int, nodes: str) -> None:
            def said() -> bool:
                answer = client.get("/health/ready")
                return (answer.status_code, answer.json()["checks"].get("nodes")) == (status, nodes)

            wait_until(said, f"{status} and {nodes}", timeout=10)

        says(200, "ok")
        run_sql(distributed_url, f"{AWAY} 'one'")
        says(200, "1 of 2")
        run_sql(distributed_url, f"{AWAY} 'two'")
        says(503, "0 of 2")
