"""From the start of a process to its first answer, and the memory of a worker."""

from __future__ import annotations

from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.one_client import client
from bench.servers import everybody, running
from bench.world import World

_ROUNDS = 3


def measure(world: World, console: Console) -> dict[str, Any]:
    """Each in turn; memory once it has answered, and after every operation fifty times."""
    world.seed(users=10)
    found: dict[str, dict[str, list[float]]] = {}
    for _ in range(_ROUNDS):
        for peer in everybody(world):
            with running(peer, world.place) as server, client(server, 1) as user:
                seen = found.setdefault(peer.name, {})
                seen.setdefault("first_answer_s", []).append(server.started_in)
                seen.setdefault("rss_first_mb", []).append(_megabytes(server.process))
                user.times(50)
                seen.setdefault("rss_busy_mb", []).append(_megabytes(server.process))
    medians = {who: {what: median(each) for what, each in by.items()} for who, by in found.items()}
    table = Table(title="cold start")
    table.add_column("")
    for name in ("first answer, s", "RSS then, MB", "RSS after 300 requests, MB"):
        table.add_column(name, justify="right")
    for who, by in medians.items():
        first, *memory = by.values()
        table.add_row(who, f"{first:.2f}", *(f"{each:.0f}" for each in memory))
    console.print(table)
    return medians


def _megabytes(process: Any) -> float:
    """Of the process that answers: none of these has children with one worker."""
    return float(process.memory_info().rss) / 1e6
