"""More people than the pool can serve: a quick 503 for some, the right answer for the others."""

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
# Each way, so that five connections serve some 25 requests a second.
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


def usual(client: httpx.Client) -> float:
    """How long one person waits who is alone."""
    times = []
    for _ in range(100):
        began = perf_counter()
        assert client.get("/api/tasks").status_code == 200
        times.append(perf_counter() - began)
    return median(times)


async def rush(api: Api, users: dict[str, str]) -> list[tuple[str, httpx.Response, float]]:
    """Everybody at once, several times: whom, what, and after how many seconds."""
    found: list[tuple[str, httpx.Response, float]] = []
    everybody = asyncio.Barrier(len(users))

    async def ask(user: str) -> None:
        headers = {"Authorization": f"Bearer {token(user)}"}
        # A client each: one that is shared by hundreds looks through all connections every time.
        async with httpx.AsyncClient(base_url=api.base, headers=headers, timeout=60) as client:
            assert (await client.get("/health/live")).status_code == 200
            await everybody.wait()
            for _ in range(TURNS):
                began = perf_counter()
                answer = await client.get("/api/tasks")
                found.append((user, answer, perf_counter() - began))

    await asyncio.gather(*map(ask, users))
    return found


def test_beyond_its_capacity_a_server_refuses_quickly_and_answers_rightly(
    api: Api, killable_postgres: KillablePostgres, slow: FaultyProxy, figure: Figure
) -> None:
    kept = {}
    for _ in range(CLIENTS):
        user = killable_postgres.new_user()
        with api.client(user) as client:
            kept[user] = create(client)["id"]
    server = psutil.Process(api.process.pid)
    with api.client(killable_postgres.new_user()) as alone:
        before, memory = usual(alone), server.memory_info().rss
        slow.begin_delay(DELAY)
        answers = asyncio.run(rush(api, kept))
        slow.heal()
        after = usual(alone)
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
    # Most find the queue full, and are not kept waiting at all.
    refusal = median(seconds for _, answer, seconds in answers if answer.status_code == 503)
    assert refusal < DEADLINE / 2
    assert more < MEGABYTES
    if FULL:
        assert after < 2 * before
    figure(
        f"{CLIENTS} clients, pool of {POOL}: {len(served)} served, {len(refused)} refused, "
        f"half of them within {refusal:.2f} s, the slowest after {slowest:.1f} s; {more:+.0f} MB; "
        f"latency after ÷ before {after / before:.2f}"
    )


def test_within_its_capacity_nobody_is_refused(
    api: Api, killable_postgres: KillablePostgres, slow: FaultyProxy
) -> None:
    """The control: as many as there are connections and places in the queue, in time for all."""
    kept = {}
    for _ in range(POOL * 2):
        user = killable_postgres.new_user()
        with api.client(user) as client:
            kept[user] = create(client)["id"]
    slow.begin_delay(DELAY)
    answers = asyncio.run(rush(api, kept))
    assert {answer.status_code for _, answer, _ in answers} == {200}
