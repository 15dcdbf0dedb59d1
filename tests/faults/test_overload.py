"""More requests than the pool can serve: some get a quick 503, the others a correct answer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from statistics import median
from time import perf_counter

import httpx
import psutil
import pytest

from faults.faulty_proxy import FaultyProxy, behind, proxy_for
from support.api_server import Api, serving, token
from support.figures import FULL, GRACE, Figure
from support.http_contract import create
from support.killable_postgres import KillablePostgres

CLIENTS = 500 if FULL else 100
TURNS = 4 if FULL else 2
POOL, QUEUE, DEADLINE = 5, 40, 2.0
# In each direction, so five connections serve about 25 requests a second.
DELAY = 0.1
MEGABYTES = 40


@pytest.fixture
def slow(killable_postgres: KillablePostgres) -> Iterator[FaultyProxy]:
    with proxy_for(killable_postgres.url) as proxy:
        yield proxy


@pytest.fixture
def api(
    killable_postgres: KillablePostgres, slow: FaultyProxy, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Api]:
    terms = {
        "TASKAPI_POOL_SIZE": str(POOL),
        "TASKAPI_POOL_QUEUE": str(QUEUE),
        "TASKAPI_DEADLINE": str(DEADLINE),
    }
    log = tmp_path_factory.mktemp("overload") / "log"
    with serving(behind(slow, killable_postgres.url), log, terms) as running:
        yield running


def median_seconds(client: httpx.Client) -> float:
    """The median duration of a request when no other client sends any."""
    times = []
    for _ in range(100):
        began = perf_counter()
        assert client.get("/api/tasks").status_code == 200
        times.append(perf_counter() - began)
    return median(times)


async def rush(api: Api, users: dict[str, str]) -> list[tuple[str, httpx.Response, float]]:
    """Send `TURNS` requests of all users at once; return user, answer and seconds of each."""
    found: list[tuple[str, httpx.Response, float]] = []
    start = asyncio.Barrier(len(users))

    async def ask(user: str) -> None:
        headers = {"Authorization": f"Bearer {token(user)}"}
        # One client per user: a shared one would search hundreds of connections for each request.
        async with httpx.AsyncClient(base_url=api.base, headers=headers, timeout=60) as client:
            assert (await client.get("/health/live")).status_code == 200
            await start.wait()
            for _ in range(TURNS):
                began = perf_counter()
                answer = await client.get("/api/tasks")
                found.append((user, answer, perf_counter() - began))

    await asyncio.gather(*map(ask, users))
    return found


def test_beyond_its_capacity_a_server_refuses_quickly_and_answers_correctly(
    api: Api, killable_postgres: KillablePostgres, slow: FaultyProxy, figure: Figure
) -> None:
    kept = {}
    for _ in range(CLIENTS):
        user = killable_postgres.new_user()
        with api.client(user) as client:
            kept[user] = create(client)["id"]
    server = psutil.Process(api.process.pid)
    with api.client(killable_postgres.new_user()) as alone:
        before, memory = median_seconds(alone), server.memory_info().rss
        slow.begin_delay(DELAY)
        answers = asyncio.run(rush(api, kept))
        slow.heal()
        after = median_seconds(alone)
    more = (server.memory_info().rss - memory) / 2**20

    served = [(user, answer) for user, answer, _ in answers if answer.status_code == 200]
    refused = [answer for _, answer, _ in answers if answer.status_code != 200]
    assert {(answer.status_code, answer.json()["code"]) for answer in refused} == {
        (503, "database_unavailable")
    }
    assert all(answer.headers["retry-after"] for answer in refused)
    assert served
    assert all([task["id"] for task in answer.json()] == [kept[user]] for user, answer in served)
    slowest = max(seconds for _, _, seconds in answers)
    assert slowest < DEADLINE + GRACE
    # Most requests find the queue full, so they are refused without waiting.
    refusal = median(seconds for _, answer, seconds in answers if answer.status_code == 503)
    assert refusal < DEADLINE / 2
    assert more < MEGABYTES
    if FULL:
        assert after < 2 * before
    figure(
        f"{CLIENTS} clients, pool of {POOL}: {len(served)} served, {len(refused)} refused, "
        f"median refusal {refusal:.2f} s, slowest answer {slowest:.1f} s; {more:+.0f} MB; "
        f"latency after ÷ before {after / before:.2f}"
    )


def test_within_its_capacity_no_request_is_refused(
    api: Api, killable_postgres: KillablePostgres, slow: FaultyProxy
) -> None:
    """Control: these requests fit into the pool and its queue, and end before the deadline."""
    kept = {}
    for _ in range(POOL * 2):
        user = killable_postgres.new_user()
        with api.client(user) as client:
            kept[user] = create(client)["id"]
    slow.begin_delay(DELAY)
    answers = asyncio.run(rush(api, kept))
    assert {answer.status_code for _, answer, _ in answers} == {200}
