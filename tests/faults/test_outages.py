"""During an outage of the database every answer is a quick 503; afterwards the server recovers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from time import monotonic
from typing import TypeAlias

import psycopg
import pytest

from faults.faulty_proxy import FaultyProxy, behind, proxy_for
from support.api_server import Api, Serve, serving
from support.figures import FIRST_SUCCESS, FULL, GRACE, Figure
from support.http_contract import create
from support.killable_postgres import LOGIN, KillablePostgres, lock_waiters
from support.load import Load
from support.sql import PASSWORD, run_sql

DEADLINE = 5.0 if FULL else 1.0
POOL = 3
USERS = 8

Outage: TypeAlias = Callable[[KillablePostgres, FaultyProxy], AbstractContextManager[None]]


@contextmanager
def down(killable_postgres: KillablePostgres, _: FaultyProxy) -> Iterator[None]:
    killable_postgres.stop()
    try:
        yield
    finally:
        killable_postgres.start()


@contextmanager
def hanging(killable_postgres: KillablePostgres, _: FaultyProxy) -> Iterator[None]:
    with killable_postgres.frozen():
        yield


@contextmanager
def silent(_: KillablePostgres, faulty_proxy: FaultyProxy) -> Iterator[None]:
    faulty_proxy.begin_silence()
    yield
    faulty_proxy.heal()


@contextmanager
def resetting(_: KillablePostgres, faulty_proxy: FaultyProxy) -> Iterator[None]:
    faulty_proxy.begin_resets()
    yield
    faulty_proxy.heal()


@contextmanager
def slow(_: KillablePostgres, faulty_proxy: FaultyProxy) -> Iterator[None]:
    faulty_proxy.begin_delay(10)
    yield
    faulty_proxy.heal()


@contextmanager
def refusing(killable_postgres: KillablePostgres, _: FaultyProxy) -> Iterator[None]:
    run_sql(killable_postgres.owner_url, f"ALTER ROLE {LOGIN} CONNECTION LIMIT 0")
    killable_postgres.terminate_backends()
    yield
    run_sql(killable_postgres.owner_url, f"ALTER ROLE {LOGIN} CONNECTION LIMIT -1")


@contextmanager
def password_changed(killable_postgres: KillablePostgres, _: FaultyProxy) -> Iterator[None]:
    run_sql(killable_postgres.owner_url, f"ALTER ROLE {LOGIN} PASSWORD 'another'")
    killable_postgres.terminate_backends()
    yield
    run_sql(killable_postgres.owner_url, f"ALTER ROLE {LOGIN} PASSWORD '{PASSWORD}'")


OUTAGES: dict[str, Outage] = {
    "down": down,
    "hanging": hanging,
    "silent": silent,
    "resetting": resetting,
    "slow": slow,
    "refusing": refusing,
    "password changed": password_changed,
}
SOME = ("down", "hanging", "refusing")
LASTS = {"down": 70.0, "silent": 20.0}


def restarted(killable_postgres: KillablePostgres) -> None:
    killable_postgres.stop()
    killable_postgres.start()


def killed(killable_postgres: KillablePostgres) -> None:
    killable_postgres.kill()
    killable_postgres.start()


MOMENTS = {
    "restarted": restarted,
    "killed": killed,
    "all backends terminated": KillablePostgres.terminate_backends,
}


@pytest.fixture(scope="module")
def faulty_proxy(killable_postgres: KillablePostgres) -> Iterator[FaultyProxy]:
    with proxy_for(killable_postgres.url) as faulty_proxy:
        yield faulty_proxy


@pytest.fixture(scope="module")
def api(
    killable_postgres: KillablePostgres,
    faulty_proxy: FaultyProxy,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Api]:
    """One server for all tests of this module."""
    log = tmp_path_factory.mktemp("outages") / "log"
    with serving(behind(faulty_proxy, killable_postgres.url), log, _terms(DEADLINE)) as running:
        yield running


@pytest.fixture
def load(api: Api, killable_postgres: KillablePostgres) -> Load:
    return Load(api, [killable_postgres.new_user() for _ in range(USERS)])


@pytest.mark.parametrize("name", OUTAGES if FULL else SOME)
def test_an_outage_is_answered_503_within_the_deadline_and_the_server_recovers(
    name: str,
    load: Load,
    api: Api,
    killable_postgres: KillablePostgres,
    faulty_proxy: FaultyProxy,
    figure: Figure,
) -> None:
    with load.running():
        load.wait_for(USERS * 2, since=0)
        with OUTAGES[name](killable_postgres, faulty_proxy):
            began = monotonic()
            load.wait_for(USERS, since=began, code="database_unavailable")
            load.wait_for_health("/health/live", 200, since=began)
            load.wait_for_health("/health/ready", 503, since=began)
            while FULL and monotonic() < began + LASTS.get(name, 0):
                load.wait_for(1, since=monotonic())
            during = [answer for answer in load.answers if answer.began > began]
        ended = monotonic()
        first = load.first_success(ended)
        load.wait_for_health("/health/ready", 200, since=ended)
        load.wait_for(USERS, since=monotonic())
    assert {answer.status for answer in during} == {503}
    _all_quick(load)
    slowest = max(answer.seconds for answer in during)
    figure(f"outage, {name}: slowest 503 {slowest:.1f} s, first success after {first:.2f} s")
    assert first < FIRST_SUCCESS
    assert _slots(api, killable_postgres) == POOL


@pytest.mark.parametrize("name", MOMENTS)
def test_the_server_recovers_from_the_loss_of_all_connections(
    name: str, load: Load, api: Api, killable_postgres: KillablePostgres, figure: Figure
) -> None:
    with load.running():
        load.wait_for(USERS * 2, since=0)
        MOMENTS[name](killable_postgres)
        ended = monotonic()
        first = load.first_success(ended)
        load.wait_for(USERS * 4, since=ended)
        load.wait_for_health("/health/ready", 200, since=ended)
    _all_quick(load)
    figure(f"{name}: first success after {first:.2f} s")
    assert first < FIRST_SUCCESS
    assert _slots(api, killable_postgres) == POOL


def test_no_request_is_503_without_an_outage(load: Load) -> None:
    """Control: the same load, without an outage."""
    with load.running():
        load.wait_for(USERS * 20, since=0)
        load.wait_for_health("/health/ready", 200, since=0)
    assert set(load.counts()) == {(200, "")}


def test_a_late_503_and_a_lost_slot_are_detected(
    serve: Serve, killable_postgres: KillablePostgres
) -> None:
    """Control: this server has a longer deadline and one connection less."""
    terms = {**_terms(DEADLINE + GRACE + 1), "TASKAPI_POOL_SIZE": str(POOL - 1)}
    with serve(killable_postgres.url, **terms) as api:
        load = Load(api, [killable_postgres.new_user()])
        with load.running():
            load.wait_for(2, since=0)
            with killable_postgres.frozen():
                load.wait_for(1, since=0, code="database_unavailable")
        assert _slots(api, killable_postgres) == POOL - 1
    with pytest.raises(AssertionError, match="late"):
        _all_quick(load)


def _terms(deadline: float) -> dict[str, str]:
    return {"TASKAPI_DEADLINE": str(deadline), "TASKAPI_POOL_SIZE": str(POOL)}


def _all_quick(load: Load) -> None:
    """Every answer is 200, or 503 with Retry-After, and none is later than the deadline allows."""
    allowed = {(200, ""), (503, "database_unavailable"), (503, "outcome_unknown")}
    assert set(load.counts()) <= allowed
    assert all(answer.retry_after for answer in load.answers if answer.status == 503)
    late = [answer for answer in load.answers if answer.seconds > DEADLINE + GRACE]
    assert not late, f"late: {late}"
    assert {answer.status for path, answer in load.health if path == "/health/live"} == {200}


def _slots(api: Api, killable_postgres: KillablePostgres) -> int:
    """Send one request more than the pool has slots; return how many reach the database at once."""
    user = killable_postgres.new_user()
    with (
        api.client(user) as client,
        psycopg.connect(killable_postgres.owner_url) as holder,
        ThreadPoolExecutor(POOL + 1) as threads,
    ):
        task = create(client)["id"]
        holder.execute("SELECT FROM tasks WHERE id = %s FOR UPDATE", [task])
        path = f"/api/tasks/{task}/complete"
        waiting = [threads.submit(client.patch, path) for _ in range(POOL + 1)]
        most = 0
        while not any(future.done() for future in waiting):
            most = max(most, len(lock_waiters(killable_postgres.owner_url)))
        holder.rollback()
        assert {future.result(30).status_code for future in waiting} <= {200, 503}
        return most
