"""Clients without a token that ask for /health/ready keep no user out, and are told the truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest

from faults.faulty_proxy import FaultyProxy, behind, proxy_for
from support.api_server import Api, serving
from support.figures import Figure
from support.limited_server import PROGRAM, environment
from support.polling import wait_until
from support.raw_http import RawClient, connected

# A pool of 2 behind 20 ms each way serves 50 requests a second.
POOL, QUEUE, DELAY = 2, 10, 0.02
CLIENTS, EACH = 300, 5
REQUESTS = 40
READY = b"GET /health/ready HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def slow(url: str) -> Iterator[FaultyProxy]:
    with proxy_for(url) as proxy:
        proxy.begin_delay(DELAY)
        yield proxy


@contextmanager
def served(
    slow: FaultyProxy, url: str, place: Path, *, ready_from_pool: bool = False
) -> Iterator[Api]:
    settings = {"TASKAPI_POOL_SIZE": str(POOL), "TASKAPI_POOL_QUEUE": str(QUEUE)}
    terms = {**environment(ready_from_pool=ready_from_pool), **settings}
    with serving(behind(slow, url), place / "log", terms, PROGRAM) as api:
        yield api


def rush(api: Api, user: str) -> tuple[Counter[int], Counter[int]]:
    """The answers to a user, while many clients ask for readiness; and the answers to those."""
    with ExitStack() as stack, api.client(user) as client:
        assert client.get("/api/tasks").status_code == 200
        asking: list[RawClient] = [stack.enter_context(connected(api)) for _ in range(CLIENTS)]
        for one in asking:
            one.send(READY * EACH)
        users = Counter(client.get("/api/tasks").status_code for _ in range(REQUESTS))
        probes = Counter(one.answer().status for one in asking for _ in range(EACH))
    return users, probes


def test_they_keep_no_user_out(
    slow: FaultyProxy, url: str, alice: str, tmp_path: Path, figure: Figure
) -> None:
    with served(slow, url, tmp_path) as api:
        users, probes = rush(api, alice)
    assert users == {200: REQUESTS}
    assert probes == {200: CLIENTS * EACH}
    figure(f"{CLIENTS} clients ask for /health/ready: a user is answered {dict(users)}")


def test_on_the_users_pool_they_do(
    slow: FaultyProxy, url: str, alice: str, tmp_path: Path, figure: Figure
) -> None:
    """The control: readiness asks each time, on the users' pool."""
    with served(slow, url, tmp_path, ready_from_pool=True) as api:
        users, probes = rush(api, alice)
    assert users[503] > 0
    assert probes[503] > 0
    figure(f"the same on the users' pool: {dict(users)}, and {probes[503]} probes are 503")


def test_it_is_one_connection_of_its_own(
    url: str, tmp_path: Path, admin: psycopg.Connection
) -> None:
    named = f"{url}{'&' if '?' in url else '?'}application_name=readiness"

    def connections() -> int:
        row = admin.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'readiness'"
        ).fetchone()
        assert row
        return int(row[0])

    with serving(named, tmp_path / "log", {"TASKAPI_POOL_SIZE": "1"}) as api, ExitStack() as stack:
        asking = [stack.enter_context(connected(api)) for _ in range(50)]
        for one in asking:
            one.send(READY)
        assert {one.answer().status for one in asking} == {200}
        assert connections() == 2
    wait_until(lambda: connections() == 0, "both end with the server")
