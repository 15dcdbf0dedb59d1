"""Prepared statements and a pooler: where they fail, where they may stay, and how that is told."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

import pytest

from support.drivers import Driver
from support.pgbouncer import Mode, running_pgbouncer
from taskcore import DatabaseFault, list_tasks
from taskcore.execution import wire


@pytest.fixture
def ask_by_two(url: str, alice: str, driver: Driver) -> Callable[[Mode, int, bool], None]:
    """Two clients with a connection each, who ask the same through so many of PostgreSQL's."""

    def ask(mode: Mode, connections: int, prepare: bool) -> None:
        with running_pgbouncer(url, mode, connections) as route, ExitStack() as stack:
            terms = {"min_size": 1, "max_size": 1, "prepare": prepare}
            runs = [stack.enter_context(driver(route(url), **terms)) for _ in range(2)]
            for run in runs * 2:
                assert run(list_tasks(alice)) == []

    return ask


def test_left_on_behind_the_transaction_pooler_they_go_off(
    ask_by_two: Callable[[Mode, int, bool], None], caplog: pytest.LogCaptureFixture
) -> None:
    ask_by_two("transaction", 1, True)
    said = [record for record in caplog.records if "TASKAPI_TRANSACTION_POOLER" in record.message]
    assert len(said) == 1  # by one of the two: the other made the statements that it met


def test_without_the_repetition_they_fail(
    ask_by_two: Callable[[Mode, int, bool], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control."""
    monkeypatch.setattr(wire, "is_shared_statement", lambda _: False)
    with pytest.raises(DatabaseFault) as failed:
        ask_by_two("transaction", 1, True)
    assert "already exists" in str(failed.value.__cause__)


def test_switched_off_nothing_fails_there(
    ask_by_two: Callable[[Mode, int, bool], None],
) -> None:
    ask_by_two("transaction", 1, False)


def test_behind_the_session_pooler_they_may_stay_on(
    ask_by_two: Callable[[Mode, int, bool], None],
) -> None:
    ask_by_two("session", 2, True)


def test_a_host_that_is_named_as_a_pooler_switches_them_off(
    url: str, alice: str, driver: Driver
) -> None:
    with running_pgbouncer(url, "transaction", 1) as route, ExitStack() as stack:
        login, _, rest = route(url).rpartition("@127.0.0.1")
        # The address stands beside the name, which nobody looks up.
        named = f"{login}@ep-of-a-test-pooler{rest}?hostaddr=127.0.0.1"
        runs = [stack.enter_context(driver(named, min_size=1, max_size=1)) for _ in range(2)]
        for run in runs * 2:
            assert run(list_tasks(alice)) == []
