"""A suspended serverless database: requests wait for its wake-up, and none of them fails."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from time import monotonic

import httpx
import pytest

from faults.faulty_proxy import FaultyProxy, behind, proxy_for
from support.api_server import Api, serving, token
from support.counting_proxy import CountingProxy
from support.drivers import Driver
from support.figures import GRACE, Figure
from support.http_contract import create
from support.polling import wait_until
from taskcore import TaskCreate, create_task, toggle_task

BURST = 50
WAKE_UP = 3.0
DEADLINE = 5.0


@pytest.fixture(scope="module")
def neon(url: str) -> Iterator[FaultyProxy]:
    with proxy_for(url) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def neon_api(
    url: str, neon: FaultyProxy, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Api]:
    log = tmp_path_factory.mktemp("suspend") / "log"
    with serving(behind(neon, url), log, {"TASKAPI_DEADLINE": str(DEADLINE)}) as api:
        yield api


async def burst(api: Api, user: str) -> list[tuple[int, float]]:
    """Send `BURST` requests at once; return the status and the seconds of each."""
    headers = {"Authorization": f"Bearer {token(user)}"}
    limits = httpx.Limits(max_connections=BURST)
    async with httpx.AsyncClient(
        base_url=api.base, headers=headers, limits=limits, timeout=30
    ) as client:

        async def ask() -> tuple[int, float]:
            began = monotonic()
            response = await client.get("/api/tasks")
            return response.status_code, monotonic() - began

        return await asyncio.gather(*(ask() for _ in range(BURST)))


async def test_no_request_of_a_burst_fails_while_the_database_wakes_up(
    neon_api: Api, neon: FaultyProxy, alice: str, figure: Figure
) -> None:
    assert {status for status, _ in await burst(neon_api, alice)} == {200}
    neon.suspend(WAKE_UP)
    answers = await burst(neon_api, alice)
    neon.heal()
    slowest = max(seconds for _, seconds in answers)
    figure(f"suspend: {BURST} requests at once, the slowest after {slowest:.1f} s")
    assert {status for status, _ in answers} == {200}
    assert WAKE_UP * 0.9 < slowest < WAKE_UP + GRACE, (
        "the slowest request must take the wake-up and little more"
    )


async def test_a_database_that_wakes_up_too_late_is_503(
    neon_api: Api, neon: FaultyProxy, alice: str
) -> None:
    """Control: a wake-up beyond the deadline is seen as 503."""
    neon.suspend(60)
    answers = await burst(neon_api, alice)
    neon.heal()
    assert {status for status, _ in answers} == {503}
    assert max(seconds for _, seconds in answers) < DEADLINE + GRACE


def test_connections_dropped_while_idle_cause_no_error(
    neon_api: Api, neon: FaultyProxy, alice: str
) -> None:
    with neon_api.client(alice) as client:
        task = create(client)
        neon.drop_idle_after(0.2)
        for _ in range(3):
            wait_until(lambda: neon.open_links == 0, "the end of idle connections")
            before = neon.connections
            assert client.get("/api/tasks").json() == [task]
            assert neon.connections > before, "an idle connection was still open"
        neon.heal()


def test_a_connection_closed_while_idle_is_found_without_a_round_trip(
    driver: Driver, counting_proxy: CountingProxy, counted_url: str, alice: str
) -> None:
    with driver(counted_url, min_size=1, max_size=1) as run:
        task = run(create_task(alice, TaskCreate(title="one")))
        for closed in (False, True):
            before = counting_proxy.connections
            counting_proxy.forget()
            if closed:
                counting_proxy.cut()
            run(toggle_task(alice, task.id))
            assert (counting_proxy.connections > before) == closed
            # A new connection first asks how the tasks are stored.
            assert counting_proxy.round_trips == 1 + closed
