"""PostgreSQL goes away behind PgBouncer, which stays: quick 503s, and an end that needs nobody."""

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
# PgBouncer itself waits so long after a failed try.
LOGIN_RETRY = 1.0

Leave: TypeAlias = Callable[[KillablePostgres], None]


@pytest.mark.parametrize(
    "leave", [KillablePostgres.stop, KillablePostgres.kill], ids=["stopped", "killed"]
)
@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_an_outage_is_503_in_time_and_ends_by_itself(
    mode: Mode, leave: Leave, killable_postgres: KillablePostgres, tmp_path: Path, figure: Figure
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
            assert set(load.counts()) == {(200, "")}, "the control: all is well until it goes"
            leave(killable_postgres)
            try:
                gone = monotonic()
                load.wait_for(USERS, gone, "database_unavailable")
                load.wait_for_health("/health/ready", 503, gone)
            finally:
                killable_postgres.start()
            back = monotonic()
            seconds = load.first_success(back)
            load.wait_for_health("/health/ready", 200, back)
            # Whoever asked before may still be told of the outage.
            settled = back + seconds + DEADLINE
            load.wait_for(100, settled)
            after = load.counts(settled)
    assert set(load.counts()) <= ALLOWED
    assert set(after) == {(200, "")}
    assert max(answer.seconds for answer in load.answers) < DEADLINE + GRACE
    assert seconds < FIRST_SUCCESS + LOGIN_RETRY
    figure(f"{mode} pooler, PostgreSQL after a {leave.__name__}: first success {seconds:.2f} s")
