"""The slowest answers when many clients are connected: p99 of taskapi and of Fastify."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from statistics import median
from typing import Any

from rich.console import Console

from bench.database import BenchDatabase
from bench.servers import fastify, running, taskapi
from bench.wrk import Load

_CONNECTIONS = (64, 256)
_OPERATIONS = ("get", "mix")


def measure(
    bench_db: BenchDatabase, console: Console, *, rounds: int, seconds: int
) -> dict[str, Any]:
    """Measure in turn, over several rounds, after one that is not counted."""
    bench_db.seed()
    load = Load.on(bench_db)
    found: dict[str, Any] = {}
    with ExitStack() as stack:
        ours = taskapi(bench_db.tenant_url)
        # By default it refuses the 111th request at once, while Fastify lets any number wait. Those
        # of a round that has ended may still be there when the next one begins.
        settings = {**ours.settings, "TASKAPI_POOL_QUEUE": str(2 * max(_CONNECTIONS))}
        peers = (
            replace(ours, settings=settings),
            fastify(bench_db.owner_url),
            fastify(bench_db.owner_url, "queries"),
        )
        servers = [stack.enter_context(running(peer, bench_db.place)) for peer in peers]
        for operation in _OPERATIONS:
            for connections in _CONNECTIONS:
                times: dict[str, list[float]] = {server.name: [] for server in servers}
                for turn in range(rounds + 1):
                    for server in servers:
                        sample = load.run(server, operation, seconds, connections)
                        if sample.failed:
                            raise RuntimeError(f"{server.name}: {sample.failed} failed")
                        if turn:
                            times[server.name].append(sample.p99_ms)
                p99 = {name: median(each) for name, each in times.items()}
                found[f"{operation}, {connections} connections"] = p99
                console.print(f"{operation}, {connections} connections: p99 in ms {p99}")
    return found
