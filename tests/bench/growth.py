"""The same operations in a small table and in a large one, both filled by `taskcli seed`."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import Any
from uuid import UUID

import psutil
import psycopg
from rich.console import Console
from rich.table import Table

from bench.cpu import seconds_of
from bench.database import BenchDatabase, new_database
from taskcore import (
    Database,
    TaskCreate,
    TaskUpdate,
    create_task,
    delete_task,
    get_task,
    list_tasks,
    toggle_task,
    update_task,
)

_SMALL = 10_000
_PER_USER = 100
_ROUNDS, _TIMES = 5, 1000
_NEW = TaskCreate(title="Buy oat milk after work", description="Ask for the receipt.")
_CHANGE = TaskUpdate(title="Pay the rent on Monday")
# Seeded users have few tasks or many; the operations use users with about a hundred.
_SOME = """
WITH chosen AS (SELECT user_id FROM public.tasks GROUP BY user_id
               HAVING count(*) BETWEEN 80 AND 125 ORDER BY md5(user_id) LIMIT 20)
SELECT user_id, id FROM public.tasks JOIN chosen USING (user_id) ORDER BY id
"""


class Side:
    """One table, and the time and CPU of each operation in it."""

    def __init__(self, bench_db: BenchDatabase, tasks: int) -> None:
        self.tasks = tasks
        self._postgres = psutil.Process(bench_db.server.pid)
        _fill(bench_db.url, tasks)
        with psycopg.connect(bench_db.url, autocommit=True) as admin:
            admin.execute("VACUUM (ANALYZE)")
            self._some: list[tuple[str, UUID]] = admin.execute(_SOME).fetchall()
        self.database = Database(bench_db.tenant_url)
        self.times: dict[str, list[float]] = {}
        self.costs: dict[str, list[float]] = {}
        self._random = random.Random(tasks)

    def turn(self, counts: bool) -> None:
        """Run every operation on random tasks of the chosen users."""
        run = self.database.run
        made: list[tuple[str, UUID]] = []

        def create(user: str, _: UUID) -> float:
            made.append((user, run(create_task(user, _NEW)).id))
            return 1.0

        def listed(user: str, _: UUID) -> float:
            return len(run(list_tasks(user))) / _PER_USER

        operations: dict[str, Callable[[str, UUID], object]] = {
            "get": lambda user, id: run(get_task(user, id)),
            "list of 100": listed,
            "update": lambda user, id: run(update_task(user, id, _CHANGE)),
            "toggle": lambda user, id: run(toggle_task(user, id)),
            "create": create,
            "delete": lambda *_: run(delete_task(*made.pop())),
        }
        for name, operation in operations.items():
            times, shares = [], 0.0
            before = seconds_of(self._postgres)
            for _ in range(_TIMES):
                user, id = self._random.choice(self._some)
                began = perf_counter()
                share = operation(user, id)
                share = share if isinstance(share, float) else 1.0
                times.append((perf_counter() - began) / share)
                shares += share
            if counts:
                self.times.setdefault(name, []).append(median(times) * 1e6)
                cost = (seconds_of(self._postgres) - before) / shares * 1e6
                self.costs.setdefault(name, []).append(cost)


def measure(bench_db: BenchDatabase, console: Console, *, tasks: int) -> dict[str, Any]:
    """Measure the ratio of the large to the small table, in time and in PostgreSQL's CPU."""
    databases = [new_database(bench_db.server, bench_db.place, name) for name in ("small", "large")]
    sides = [Side(each, number) for each, number in zip(databases, (_SMALL, tasks), strict=True)]
    small, large = sides
    with small.database, large.database:
        for turn in range(_ROUNDS + 1):  # the first warms up
            for side in sides:
                side.turn(counts=turn > 0)
    table = Table(title=f"{_SMALL:,} tasks and {tasks:,}: µs (PostgreSQL's CPU)")
    for name in ("operation", "small", "large", "ratio"):
        table.add_column(name, justify="right")
    ratios = {}
    for name in small.times:
        (few, few_cpu), (many, many_cpu) = (
            (median(side.times[name]), median(side.costs[name])) for side in sides
        )
        ratios[name] = {"time": many / few, "postgres_cpu": many_cpu / few_cpu}
        table.add_row(
            name,
            f"{few:.0f} ({few_cpu:.0f})",
            f"{many:.0f} ({many_cpu:.0f})",
            f"{many / few:.2f} ({many_cpu / few_cpu:.2f})",
        )
    console.print(table)
    return {"small": _SMALL, "large": tasks, "ratios": ratios}


def _fill(url: str, tasks: int) -> None:
    users = max(1, tasks // _PER_USER)
    command = [sys.executable, "-m", "taskcli", "seed", f"--users={users}", f"--tasks={tasks}"]
    environment = {**os.environ, "DATABASE_URL": url}
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=3600)
