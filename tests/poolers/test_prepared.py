"""Prepared statements behind a pooler: in which mode they fail, and how they are switched off."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

import pytest

from support.drivers import Driver
from support.pgbouncer import Mode, running_pgbouncer
from taskcore import DatabaseFault, list_tasks
from taskcore.execution import wire


@pytest.fixture
def list_with_two_clients(
    url: str, alice: str, driver: Driver
) -> Callable[[Mode, int, bool], None]:
    """Return a function: two clients with a connection each send the same through one PgBouncer."""

    def list_twice(mode: Mode, connections: int, prepare: bool) -> None:
        with running_pgbouncer(url, mode, connections) as route, ExitStack() as stack:
            terms = {"min_size": 1, "max_size": 1, "prepare": prepare}
            runs = [stack.enter_context(driver(route(url), **terms)) for _ in range(2)]
            for run in runs * 2:
                assert run(list_tasks(alice)) == []

    return list_twice


def test_left_on_behind_the_transaction_pooler_they_go_off(
    list_with_two_clients: Callable[[Mode, int, bool], None], caplog: pytest.LogCaptureFixture
) -> None:
    list_with_two_clients("transaction", 1, True)
    said = [record for record in caplog.records if "TASKAPI_TRANSACTION_POOLER" in record.message]
    assert len(said) == 1  # by one of the two: the other made the statements that it met


def test_without_the_repetition_they_fail(
    list_with_two_clients: Callable[[Mode, int, bool], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control."""
    monkeypatch.setattr(wire, "is_shared_statement", lambda _: False)
    with pytest.raises(DatabaseFault) as failed:
        list_with_two_clients("transaction", 1, True)
    assert "already exists" in str(failed.value.__cause__)


def test_behind_the_transaction_pooler_unprepared_statements_succeed(
    list_with_two_clients: Callable[[Mode, int, bool], None],
) -> None:
    list_with_two_clients("transaction", 1, False)


def test_behind_the_session_pooler_prepared_statements_succeed(
    list_with_two_clients: Callable[[Mode, int, bool], None],
) -> None:
    list_with_two_clients("session", 2, True)


def test_the_host_name_of_a_pooler_switches_prepared_statements_off(
    url: str, alice: str, driver: Driver
) -> None:
    with running_pgbouncer(url, "transaction", 1) as route, ExitStack() as stack:
        login, _, rest = route(url).rpartition("@127.0.0.1")
        # With hostaddr, libpq does not resolve the name.
        named = f"{login}@ep-of-a-test-pooler{rest}?hostaddr=127.0.0.1"
        runs = [stack.enter_context(driver(named, min_size=1, max_size=1)) for _ in range(2)]
        for run in runs * 2:
            assert run(list_tasks(alice)) == []
