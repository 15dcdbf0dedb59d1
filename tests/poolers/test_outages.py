"""PostgreSQL goes away behind PgBouncer, which stays: quick 503s, and an end that needs nobody."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import TypeAlias

import pytest

from fix_api import serving
from fix_faults import FIRST_SUCCESS, GRACE, Figure
from fix_load import Load
from fix_mortal import Mortal
from fix_pooler import Mode, pooling

DEADLINE = 1.0
PEOPLE = 8
ALLOWED = {(200, ""), (503, "database_unavailable"), (503, "outcome_unknown")}
# PgBouncer itself waits so long after a failed try.
LOGIN_RETRY = 1.0

Leave: TypeAlias = Callable[[Mortal], None]


@pytest.mark.parametrize("leave", [Mortal.stop, Mortal.kill], ids=["stopped", "killed"])
@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_an_outage_is_503_in_time_and_ends_by_itself(
    mode: Mode, leave: Leave, mortal: Mortal, tmp_path: Path, figure: Figure
) -> None:
    settings = {
        "TASKAPI_DEADLINE": str(DEADLINE),
        "TASKAPI_POOL_WAIT": str(DEADLINE),
        "TASKAPI_TRANSACTION_POOLER": str(mode == "transaction").lower(),
    }
    users = [mortal.new_user() for _ in range(PEOPLE)]
    with (
        pooling(mortal.owner_url, mode) as route,
        serving(route(mortal.url), tmp_path / "log", settings) as api,
    ):
        load = Load(api, users)
        with load.running():
            load.wait_for(50, 0.0)
            assert set(load.counts()) == {(200, "")}, "the control: all is well until it goes"
            leave(mortal)
            try:
                gone = monotonic()
                load.wait_for(PEOPLE, gone, "database_unavailable")
                load.wait_for_health("/health/ready", 503, gone)
            finally:
                mortal.start()
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
