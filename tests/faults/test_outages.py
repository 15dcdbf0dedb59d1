"""While the database can't be had every answer is a quick 503; afterwards nobody has to help."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from time import monotonic
from typing import TypeAlias

import psycopg
import pytest

from fix_api import Api, Serve, serving
from fix_contract import create
from fix_faults import FIRST_SUCCESS, FULL, GRACE, Figure, Proxy, behind, in_front_of
from fix_load import Load
from fix_mortal import LOGIN, Mortal, waiters
from fix_schema import PASSWORD, do

DEADLINE = 5.0 if FULL else 1.0
POOL = 3
PEOPLE = 8

Outage: TypeAlias = Callable[[Mortal, Proxy], AbstractContextManager[None]]


@contextmanager
def down(mortal: Mortal, _: Proxy) -> Iterator[None]:
    mortal.stop()
    try:
        yield
    finally:
        mortal.start()


@contextmanager
def hanging(mortal: Mortal, _: Proxy) -> Iterator[None]:
    with mortal.frozen():
        yield


@contextmanager
def silent(_: Mortal, proxy: Proxy) -> Iterator[None]:
    proxy.begin_silence()
    yield
    proxy.heal()


@contextmanager
def resetting(_: Mortal, proxy: Proxy) -> Iterator[None]:
    proxy.begin_resets()
    yield
    proxy.heal()


@contextmanager
def slow(_: Mortal, proxy: Proxy) -> Iterator[None]:
    proxy.begin_delay(10)
    yield
    proxy.heal()


@contextmanager
def refusing(mortal: Mortal, _: Proxy) -> Iterator[None]:
    do(mortal.owner_url, f"ALTER ROLE {LOGIN} CONNECTION LIMIT 0")
    mortal.terminate_backends()
    yield
    do(mortal.owner_url, f"ALTER ROLE {LOGIN} CONNECTION LIMIT -1")


@contextmanager
def password_changed(mortal: Mortal, _: Proxy) -> Iterator[None]:
    do(mortal.owner_url, f"ALTER ROLE {LOGIN} PASSWORD 'another'")
    mortal.terminate_backends()
    yield
    do(mortal.owner_url, f"ALTER ROLE {LOGIN} PASSWORD '{PASSWORD}'")


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
AWAY = {"down": 70.0, "silent": 20.0}


def restarted(mortal: Mortal) -> None:
    mortal.stop()
    mortal.start()


def killed(mortal: Mortal) -> None:
    mortal.kill()
    mortal.start()


MOMENTS = {
    "restarted": restarted,
    "killed": killed,
    "all backends terminated": Mortal.terminate_backends,
}


@pytest.fixture(scope="module")
def wire(mortal: Mortal) -> Iterator[Proxy]:
    with in_front_of(mortal.url) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def api(mortal: Mortal, wire: Proxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """One server that lives through it all."""
    log = tmp_path_factory.mktemp("outages") / "log"
    with serving(behind(wire, mortal.url), log, _terms(DEADLINE)) as running:
        yield running


@pytest.fixture
def load(api: Api, mortal: Mortal) -> Load:
    return Load(api, [mortal.new_user() for _ in range(PEOPLE)])


@pytest.mark.parametrize("name", OUTAGES if FULL else SOME)
def test_an_outage_is_503_quickly_and_ends_by_itself(
    name: str, load: Load, api: Api, mortal: Mortal, wire: Proxy, figure: Figure
) -> None:
    with load.running():
        load.wait_for(PEOPLE * 2, since=0)
        with OUTAGES[name](mortal, wire):
            began = monotonic()
            load.wait_for(PEOPLE, since=began, code="database_unavailable")
            load.wait_for_health("/health/live", 200, since=began)
            load.wait_for_health("/health/ready", 503, since=began)
            while FULL and monotonic() < began + AWAY.get(name, 0):
                load.wait_for(1, since=monotonic())
            during = [answer for answer in load.answers if answer.began > began]
        back = monotonic()
        first = load.first_success(back)
        load.wait_for_health("/health/ready", 200, since=back)
        load.wait_for(PEOPLE, since=monotonic())
    assert {answer.status for answer in during} == {503}
    _all_quick(load)
    slowest = max(answer.seconds for answer in during)
    figure(f"outage, {name}: slowest 503 {slowest:.1f} s, first success after {first:.2f} s")
    assert first < FIRST_SUCCESS
    assert _slots(api, mortal) == POOL


@pytest.mark.parametrize("name", MOMENTS)
def test_a_moment_without_connections_passes(
    name: str, load: Load, api: Api, mortal: Mortal, figure: Figure
) -> None:
    with load.running():
        load.wait_for(PEOPLE * 2, since=0)
        MOMENTS[name](mortal)
        back = monotonic()
        first = load.first_success(back)
        load.wait_for(PEOPLE * 4, since=back)
        load.wait_for_health("/health/ready", 200, since=back)
    _all_quick(load)
    figure(f"{name}: first success after {first:.2f} s")
    assert first < FIRST_SUCCESS
    assert _slots(api, mortal) == POOL


def test_nobody_is_told_503_when_all_is_well(load: Load) -> None:
    """The control: the same load, without an outage."""
    with load.running():
        load.wait_for(PEOPLE * 20, since=0)
        load.wait_for_health("/health/ready", 200, since=0)
    assert set(load.counts()) == {(200, "")}


def test_a_late_503_and_a_lost_slot_would_be_seen(serve: Serve, mortal: Mortal) -> None:
    """The control: a server with a longer deadline, and with one connection less."""
    terms = {**_terms(DEADLINE + GRACE + 1), "TASKAPI_POOL_SIZE": str(POOL - 1)}
    with serve(mortal.url, **terms) as api:
        load = Load(api, [mortal.new_user()])
        with load.running():
            load.wait_for(2, since=0)
            with mortal.frozen():
                load.wait_for(1, since=0, code="database_unavailable")
        assert _slots(api, mortal) == POOL - 1
    with pytest.raises(AssertionError, match="late"):
        _all_quick(load)


def _terms(deadline: float) -> dict[str, str]:
    return {"TASKAPI_DEADLINE": str(deadline), "TASKAPI_POOL_SIZE": str(POOL)}


def _all_quick(load: Load) -> None:
    """No answer but 200 or a 503 that says when to come again; none later than it may be."""
    allowed = {(200, ""), (503, "database_unavailable"), (503, "outcome_unknown")}
    assert set(load.counts()) <= allowed
    assert all(answer.retry_after for answer in load.answers if answer.status == 503)
    late = [answer for answer in load.answers if answer.seconds > DEADLINE + GRACE]
    assert not late, f"late: {late}"
    assert {answer.status for path, answer in load.health if path == "/health/live"} == {200}


def _slots(api: Api, mortal: Mortal) -> int:
    """How many requests the pool lets into the database at once, of one more than it should."""
    user = mortal.new_user()
    with (
        api.client(user) as client,
        psycopg.connect(mortal.owner_url) as holder,
        ThreadPoolExecutor(POOL + 1) as threads,
    ):
        task = create(client)["id"]
        holder.execute("SELECT FROM tasks WHERE id = %s FOR UPDATE", [task])
        path = f"/api/tasks/{task}/complete"
        waiting = [threads.submit(client.patch, path) for _ in range(POOL + 1)]
        most = 0
        while not any(future.done() for future in waiting):
            most = max(most, len(waiters(mortal.owner_url)))
        holder.rollback()
        assert {future.result(30).status_code for future in waiting} <= {200, 503}
        return most
