"""PostgreSQL stops behind a running PgBouncer: quick 503s, and recovery without an operator."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import TypeAlias

import pytest

from support.api_server import serving
from support.figures import FIRST_SUCCESS, GRACE, Figure
from support.killable_postgres import KillablePostgres
from support.load import Load
from support.pgbouncer import Mode, running_pgbouncer

DEADLINE = 1.0
USERS = 8
ALLOWED = {(200, ""), (503, "database_unavailable"), (503, "outcome_unknown")}
# PgBouncer waits this long after a failed login to PostgreSQL.
LOGIN_RETRY = 1.0

Stop: TypeAlias = Callable[[KillablePostgres], None]


@pytest.mark.parametrize(
    "stop", [KillablePostgres.stop, KillablePostgres.kill], ids=["stopped", "killed"]
)
@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_an_outage_is_503_in_time_and_ends_without_an_operator(
    mode: Mode, stop: Stop, killable_postgres: KillablePostgres, tmp_path: Path, figure: Figure
) -> None:
    settings = {
        "TASKAPI_DEADLINE": str(DEADLINE),
        "TASKAPI_POOL_WAIT": str(DEADLINE),
        "TASKAPI_TRANSACTION_POOLER": str(mode == "transaction").lower(),
    }
    users = [killable_postgres.new_user() for _ in range(USERS)]
    with (
        running_pgbouncer(killable_postgres.owner_url, mode) as route,
        serving(route(killable_postgres.url), tmp_path / "log", settings) as api,
    ):
        load = Load(api, users)
        with load.running():
            load.wait_for(50, 0.0)
            assert set(load.counts()) == {(200, "")}, "the control: no error before the outage"
            stop(killable_postgres)
            try:
                stopped = monotonic()
                load.wait_for(USERS, stopped, "database_unavailable")
                load.wait_for_health("/health/ready", 503, stopped)
            finally:
                killable_postgres.start()
            restarted = monotonic()
            seconds = load.first_success(restarted)
            load.wait_for_health("/health/ready", 200, restarted)
            # Requests that were sent before the first success may still be answered 503.
            settled = restarted + seconds + DEADLINE
            load.wait_for(100, settled)
            after = load.counts(settled)
    assert set(load.counts()) <= ALLOWED
    assert set(after) == {(200, "")}
    assert max(answer.seconds for answer in load.answers) < DEADLINE + GRACE
    assert seconds < FIRST_SUCCESS + LOGIN_RETRY
    figure(f"{mode} pooler, PostgreSQL after a {stop.__name__}: first success {seconds:.2f} s")
