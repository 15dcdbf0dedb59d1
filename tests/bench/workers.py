"""The requests per second of two workers, divided by those of one."""

from __future__ import annotations

import os
from statistics import median
from typing import Any

from rich.console import Console

from bench.database import BenchDatabase
from bench.servers import running, taskapi
from bench.wrk import Load


def measure(
    bench_db: BenchDatabase, console: Console, *, rounds: int, seconds: int
) -> dict[str, Any]:
    """Measure the ratio; it depends on the machine: wrk and PostgreSQL use its cores too."""
    bench_db.seed()
    load = Load.on(bench_db)
    found: dict[str, Any] = {"cores": os.cpu_count()}
    url = bench_db.tenant_url
    with (
        running(taskapi(url), bench_db.place) as one,
        running(taskapi(url, workers=2), bench_db.place) as two,
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
