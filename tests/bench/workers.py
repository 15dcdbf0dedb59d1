"""Two workers instead of one: what the machine's cores allow."""

from __future__ import annotations

import os
from statistics import median
from typing import Any

from rich.console import Console

from bench.servers import running, taskapi
from bench.world import World
from bench.wrk import Load


def measure(world: World, console: Console, *, rounds: int, seconds: int) -> dict[str, Any]:
    """Requests per second with two workers for one with one; wrk and PostgreSQL want cores too."""
    world.seed()
    load = Load.on(world)
    found: dict[str, Any] = {"cores": os.cpu_count()}
    url = world.tenant_url
    with (
        running(taskapi(url), world.place) as one,
        running(taskapi(url, workers=2), world.place) as two,
    ):
        for operation in ("get", "list"):
            ratios = []
            for turn in range(rounds + 1):  # the first warms up
                alone, both = (load.run(each, operation, seconds) for each in (one, two))
                if alone.failed or both.failed:
                    raise RuntimeError(f"{operation}: {alone.failed} and {both.failed} failed")
                if turn:
                    ratios.append(both.per_second / alone.per_second)
            found[operation] = median(ratios)
            console.print(f"{operation}: {found[operation]:.2f} times the requests of one worker")
    console.print(f"{found['cores']} cores for the workers, PostgreSQL and wrk")
    return found
