"""A list of 10,000 tasks beside one of 100: time and CPU per row, and memory of the worker."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import psutil
import psycopg
from rich.console import Console

from bench.cpu import seconds_of
from bench.database import BenchDatabase
from bench.one_client import Client, client
from bench.servers import Running, running, taskapi

_ROUNDS = 5
_AT_ONCE = 16
_MANY = 10_000
_MORE = """
INSERT INTO public.tasks (id, user_id, title, description, completed, created_at, updated_at)
    SELECT gen_random_uuid(), 'user-1', title, description, completed, created_at, created_at
      FROM bench.tasks, generate_series(1, 99) WHERE user_id = 'user-1'
"""


def measure(bench_db: BenchDatabase, console: Console) -> dict[str, Any]:
    """Measure with one client, then with sixteen that request the long list at once."""
    bench_db.seed(users=20)
    with psycopg.connect(bench_db.url, autocommit=True) as admin:
        admin.execute(_MORE)
        admin.execute("VACUUM (ANALYZE) public.tasks")
    with running(taskapi(bench_db.tenant_url), bench_db.place) as server:
        found = _rows(server, psutil.Process(bench_db.server.pid))
        found["rss_mb"] = server.process.memory_info().rss / 1e6
        found["peak_one_at_a_time_mb"] = _peak(server)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(lambda _: _list_on_a_new_connection(server), range(_AT_ONCE * 2)))
        found["peak_at_once_mb"] = _peak(server)
        found["rss_after_mb"] = server.process.memory_info().rss / 1e6
    for name, value in found.items():
        console.print(f"{name.replace('_', ' ')}: {value:.2f}")
    return found


def _rows(server: Running, postgres: psutil.Process) -> dict[str, float]:
    times: dict[int, list[float]] = {100: [], _MANY: []}
    costs: dict[int, list[float]] = {100: [], _MANY: []}
    with client(server, 0) as few, client(server, 1) as many:
        for turn in range(_ROUNDS + 1):  # the first warms up
            for user, rows, number in ((few, 100, 300), (many, _MANY, 6)):
                before, began = seconds_of(server.process, postgres), perf_counter()
                for _ in range(number):
                    user.request("GET", "/api/tasks")
                if turn:
                    each = 1e6 / number / rows
                    times[rows].append((perf_counter() - began) * each)
                    costs[rows].append((seconds_of(server.process, postgres) - before) * each)
    return {
        "us_per_row_of_100": median(times[100]),
        "us_per_row_of_10000": median(times[_MANY]),
        "cpu_us_per_row_of_100": median(costs[100]),
        "cpu_us_per_row_of_10000": median(costs[_MANY]),
        "time_ratio": median(times[_MANY]) / median(times[100]),
        "cpu_ratio": median(costs[_MANY]) / median(costs[100]),
    }


def _list_on_a_new_connection(server: Running) -> None:
    with client(server, 1) as user:
        assert isinstance(user, Client)
        user.request("GET", "/api/tasks")


def _peak(server: Running) -> float:
    """Return the most memory that the process ever had resident (VmHWM), in MB."""
    for line in Path(f"/proc/{server.process.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1000
    return float("nan")
