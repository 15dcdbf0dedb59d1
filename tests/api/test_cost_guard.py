"""The CPU of a request, divided by that of a minimal Python server with the same answer.

Both servers run in one test and take turns, so the speed of the machine cancels out. The bounds are
high enough for a busy machine, and low enough to fail if a request costs half as much again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from itertools import product
from pathlib import Path

import psycopg
import pytest

from bench import servers
from support.api_server import token

TASKS = 100
ROUNDS = 4
REQUESTS = {"get": 250, "list": 150}
# Measured: 0.47 to 0.56 for get and 0.51 to 0.73 for list; the control, which doubles only the work
# of our own code, 0.70 to 0.91 and 0.89 to 0.95. If the control falls below a bound, taskapi is
# faster now: lower the bound. A request that costs 1.5 times as much is above both.
BOUNDS = {"get": 0.65, "list": 0.85}


def _seconds_of(server: servers.Running) -> float:
    """Its CPU time to the microsecond; psutil's is counted in steps of 10 ms."""
    threads = Path(f"/proc/{server.process.pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


class Measured:
    """A server with one client, and the CPU that its requests cost."""

    def __init__(self, server: servers.Running, user: str) -> None:
        self._server = server
        self._headers = {"Authorization": f"Bearer {token(user)}"}
        self._connection = HTTPConnection("127.0.0.1", server.port, timeout=30)

    def get(self, path: str, times: int) -> float:
        """Request the path this many times; return the server's CPU seconds for it."""
        before = _seconds_of(self._server)
        for _ in range(times):
            self._connection.request("GET", path, headers=self._headers)
            answer = self._connection.getresponse()
            body = answer.read()
            assert answer.status == 200, body
        return _seconds_of(self._server) - before

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def paths(admin: psycopg.Connection, alice: str) -> dict[str, str]:
    """The paths that are requested: one task of Alice's, and the list of all."""
    ids = admin.execute(
        "INSERT INTO tasks (user_id, id, title, description) "
        "SELECT %s, gen_random_uuid(), 'number ' || n, 'of some length' "
        "FROM generate_series(1, %s) n RETURNING id",
        [alice, TASKS],
    ).fetchall()
    return {"get": f"/api/tasks/{ids[0][0]}", "list": "/api/tasks"}


@contextmanager
def measured(peer: servers.Peer, user: str, place: Path) -> Iterator[Measured]:
    with servers.running(peer, place) as server:
        one = Measured(server, user)
        try:
            yield one
        finally:
            one.close()


def costs(
    peer: servers.Peer, url: str, user: str, place: Path, paths: dict[str, str]
) -> dict[str, float]:
    """Return, by operation, the peer's CPU divided by the limit's."""
    with ExitStack() as stack:
        both = [
            stack.enter_context(measured(one, user, place)) for one in (peer, servers.limit(url))
        ]
        for one, path in product(both, paths.values()):
            one.get(path, 50)  # prepares the statements and fills the pools
        # Sums, not medians: one turn is short.
        spent = {name: [0.0, 0.0] for name in paths}
        for _, name in product(range(ROUNDS), paths):
            for number, one in enumerate(both):
                spent[name][number] += one.get(paths[name], REQUESTS[name])
        return {name: ours / limit for name, (ours, limit) in spent.items()}


def test_a_get_and_a_list_cost_little_more_than_bare_starlette_and_psycopg(
    url: str, alice: str, tmp_path: Path, paths: dict[str, str]
) -> None:
    found = costs(servers.taskapi(url), url, alice, tmp_path, paths)
    assert all(found[name] < bound for name, bound in BOUNDS.items()), found


def test_a_server_that_does_everything_twice_exceeds_the_bound(
    url: str, alice: str, tmp_path: Path, paths: dict[str, str]
) -> None:
    """The control."""
    found = costs(servers.twice(url), url, alice, tmp_path, paths)
    assert all(found[name] > bound for name, bound in BOUNDS.items()), found
