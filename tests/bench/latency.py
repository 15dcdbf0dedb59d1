"""The round trips of each operation: the database is behind a delay of 5 ms each way."""

from __future__ import annotations

from contextlib import ExitStack
from statistics import median
from time import perf_counter
from typing import Any

import psycopg
from rich.console import Console
from rich.table import Table

from bench.database import BenchDatabase
from bench.delay_proxy import delayed_url
from bench.one_client import client
from bench.servers import idiom, limit, running, taskapi

_DELAY = 0.005
_WARM_UP, _TIMES = 20, 60


def measure(bench_db: BenchDatabase, console: Console) -> dict[str, Any]:
    """Measure the p50 of each operation, in round trips to the database."""
    bench_db.seed(users=10)
    found: dict[str, dict[str, float]] = {}
    with ExitStack() as stack:
        owner = stack.enter_context(delayed_url(bench_db.owner_url, _DELAY))
        tenant = stack.enter_context(delayed_url(bench_db.tenant_url, _DELAY))
        round_trip = _round_trip(tenant)
        for number, peer in enumerate((idiom(owner), limit(tenant), taskapi(tenant))):
            server = stack.enter_context(running(peer, bench_db.place))
            user = stack.enter_context(client(server, number))
            user.times(_WARM_UP)
            times = user.times(_TIMES)
            found[peer.name] = {name: median(each) / round_trip for name, each in times.items()}
    table = Table(title=f"p50 in round trips of {round_trip * 1000:.2f} ms")
    table.add_column("operation")
    for name in found:
        table.add_column(name, justify="right")
    for operation in found["taskapi"]:
        table.add_row(operation, *(f"{by[operation]:.2f}" for by in found.values()))
    console.print(table)
    return {"round_trip_ms": round_trip * 1000, "p50_in_round_trips": found}


def _round_trip(url: str) -> float:
    """Return the seconds of an empty statement."""
    with psycopg.connect(url, autocommit=True) as connection:
        times = []
        for _ in range(_TIMES):
            began = perf_counter()
            connection.execute("")
            times.append(perf_counter() - began)
    return median(times)
