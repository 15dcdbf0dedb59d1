"""The time from the start of a process to its first answer, and the memory of a worker."""

from __future__ import annotations

from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.database import BenchDatabase
from bench.one_client import client
from bench.servers import all_peers, running

_ROUNDS = 3


def measure(bench_db: BenchDatabase, console: Console) -> dict[str, Any]:
    """Measure each peer in turn; memory after the first answer and after 50 of each operation."""
    bench_db.seed(users=10)
    found: dict[str, dict[str, list[float]]] = {}
    for _ in range(_ROUNDS):
        for peer in all_peers(bench_db):
            with running(peer, bench_db.place) as server, client(server, 1) as user:
                seen = found.setdefault(peer.name, {})
                seen.setdefault("first_answer_s", []).append(server.started_in)
                seen.setdefault("rss_first_mb", []).append(_megabytes(server.process))
                user.times(50)
                seen.setdefault("rss_busy_mb", []).append(_megabytes(server.process))
    medians = {
        peer_name: {what: median(each) for what, each in by.items()}
        for peer_name, by in found.items()
    }
    table = Table(title="cold start")
    table.add_column("")
    for name in ("first answer, s", "RSS then, MB", "RSS after 300 requests, MB"):
        table.add_column(name, justify="right")
    for peer_name, by in medians.items():
        first, *memory = by.values()
        table.add_row(peer_name, f"{first:.2f}", *(f"{each:.0f}" for each in memory))
    console.print(table)
    return medians


def _megabytes(process: Any) -> float:
    """Return the resident memory; with one worker no peer has child processes."""
    return float(process.memory_info().rss) / 1e6
