"""Bad tokens are refused without a database connection, and do not slow down good users."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from statistics import median, quantiles
from time import perf_counter

import httpx
import psutil
import psycopg

from faults.faulty_proxy import FaultyProxy
from support.api_server import Serve, token
from support.figures import FULL, Figure
from support.http_contract import create
from support.polling import wait_until

ROUNDS = 8 if FULL else 2
REQUESTS = 500 if FULL else 200
# Runs in a process of its own: a hundred bad tokens in a cycle, so neighbours always differ.
FLOOD = """
import http.client, sys
connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]))
tokens, seen = sys.stdin.read().split(), set()
for number in range(10**9):
    headers = {"Authorization": "Bearer " + tokens[number % len(tokens)]}
    connection.request("GET", "/api/tasks", headers=headers)
    answer = connection.getresponse()
    answer.read()
    if answer.status != 401:
        sys.exit(f"answered {answer.status}")
    if number == 0:
        print("begun", flush=True)
"""
MAKE_BAD: dict[str, Callable[[int], str]] = {
    "of another secret": lambda n: token(
        f"user-{n}", secret=f"another secret of a good length {n}"
    ),
    "expired": lambda n: token(f"user-{n}", lifetime=-100 - n),
    "no token at all": lambda n: f"nonsense-{n}",
}
BAD = [make(number) for number in range(34) for make in MAKE_BAD.values()]


@contextmanager
def flood(base: str) -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, "-c", FLOOD, base.rpartition(":")[2]],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        process.stdin.write("\n".join(BAD))
        process.stdin.close()
        assert process.stdout.readline() == "begun\n"
        try:
            yield
        finally:
            still_running = process.poll() is None
            process.kill()
        assert still_running, "a bad token was answered with a status other than 401"


def p99(client: httpx.Client) -> float:
    times = []
    for _ in range(REQUESTS):
        began = perf_counter()
        assert client.get("/api/tasks").status_code == 200
        times.append(perf_counter() - began)
    return quantiles(times, n=100)[98]


def test_a_flood_of_bad_tokens_takes_no_connection(
    serve: Serve, faulty_proxy: FaultyProxy, faulty_url: str, alice: str
) -> None:
    with serve(faulty_url, TASKAPI_POOL_SIZE="5") as api, api.client(alice) as client:
        assert client.get("/api/tasks").status_code == 200
        before = faulty_proxy.connections
        with flood(api.base), httpx.Client(base_url=api.base) as unauthenticated:
            for number in range(REQUESTS):
                headers = {"Authorization": f"Bearer {BAD[number % len(BAD)]}"}
                assert unauthenticated.get("/api/tasks", headers=headers).status_code == 401
        assert faulty_proxy.connections == before


def test_requests_with_good_tokens_take_connections(
    serve: Serve, faulty_proxy: FaultyProxy, faulty_url: str, url: str, alice: str
) -> None:
    """Control: three requests that wait in the database open another connection."""
    with (
        serve(faulty_url, TASKAPI_POOL_SIZE="5") as api,
        api.client(alice) as client,
        psycopg.connect(url) as holder,
        ThreadPoolExecutor(3) as threads,
    ):
        task = create(client)["id"]
        before = faulty_proxy.connections
        holder.execute("SELECT FROM tasks WHERE id = %s FOR UPDATE", [task])
        path = f"/api/tasks/{task}/complete"
        waiting = [threads.submit(client.patch, path) for _ in range(3)]
        wait_until(lambda: faulty_proxy.connections > before, "another connection")
        holder.rollback()
        assert {future.result(30).status_code for future in waiting} == {200}


def test_a_flood_of_bad_tokens_does_not_slow_down_a_good_user(
    serve: Serve, alice: str, figure: Figure
) -> None:
    alone, flooded = [], []
    with serve() as api, api.client(alice) as client:
        p99(client)
        for _ in range(ROUNDS):
            alone.append(p99(client))
            with flood(api.base):
                flooded.append(p99(client))
    ratio = median(flooded) / median(alone)
    figure(f"p99 of a good user in a flood of bad tokens ÷ without it: {ratio:.2f}")
    if FULL:
        assert ratio < 2


def test_a_bad_token_costs_the_server_less_than_a_good_one(
    serve: Serve, alice: str, figure: Figure
) -> None:
    with serve() as api, api.client(alice) as client:
        server = psutil.Process(api.process.pid)
        path = f"/api/tasks/{create(client)['id']}"

        def cost(tokens: Sequence[str], status: int) -> float:
            times = server.cpu_times()
            for number in range(4 * REQUESTS):
                headers = {"Authorization": f"Bearer {tokens[number % len(tokens)]}"}
                assert client.get(path, headers=headers).status_code == status
            after = server.cpu_times()
            return after.user + after.system - times.user - times.system

        bad, good = [], []
        for _ in range(ROUNDS):
            good.append(cost([token(alice)], 200))
            bad.append(cost(BAD, 401))
    ratio = median(bad) / median(good)
    figure(f"the server's CPU for a bad token ÷ for a get: {ratio:.2f}")
    assert ratio < 1


def test_bad_tokens_are_401_while_the_database_is_down(
    serve: Serve, faulty_proxy: FaultyProxy, faulty_url: str, alice: str
) -> None:
    with serve(faulty_url, TASKAPI_DEADLINE="1") as api, api.client(alice) as client:
        faulty_proxy.begin_resets()
        for make in MAKE_BAD.values():
            headers = {"Authorization": f"Bearer {make(0)}"}
            assert httpx.get(f"{api.base}/api/tasks", headers=headers).status_code == 401
        # Control: a request with a good token needs the database.
        assert client.get("/api/tasks").status_code == 503
