"""`python -m bench`: the comparison and the small measuring programs, or only the named ones."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import psycopg
from rich.console import Console

from bench import (
    chart,
    clients,
    growth,
    latency,
    library,
    long_list,
    report,
    start,
    system_calls,
    workers,
)
from bench.compare import compare
from bench.database import BenchDatabase, new_bench_database
from bench.wrk import OPERATIONS

# Without a terminal rich knows no width.
console = Console(width=None if sys.stdout.isatty() else 110)


def _peers(bench_db: BenchDatabase, options: argparse.Namespace) -> dict[str, Any]:
    found = compare(
        bench_db,
        rounds=options.rounds,
        seconds=options.seconds,
        operations=options.operations,
        peers=options.peers,
        report_progress=lambda line: console.print(line, style="dim"),
    )
    report.show(console, found)
    return found.as_json()


Program: TypeAlias = Callable[[BenchDatabase, argparse.Namespace], dict[str, Any]]
PROGRAMS: dict[str, Program] = {
    "peers": _peers,
    "clients": lambda bench_db, options: clients.measure(
        bench_db, console, rounds=options.rounds, seconds=options.seconds
    ),
    "system_calls": lambda bench_db, _: system_calls.measure(bench_db, console),
    "latency": lambda bench_db, _: latency.measure(bench_db, console),
    "growth": lambda bench_db, options: growth.measure(bench_db, console, tasks=options.tasks),
    "long_list": lambda bench_db, _: long_list.measure(bench_db, console),
    "workers": lambda bench_db, options: workers.measure(
        bench_db, console, rounds=options.rounds, seconds=options.seconds
    ),
    "library": lambda bench_db, _: library.measure(bench_db, console),
    "start": lambda bench_db, _: start.measure(bench_db, console),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    names = ", ".join(PROGRAMS)
    parser.add_argument("programs", nargs="*", help=f"{names}; all of them by default")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3, help="length of one measurement")
    parser.add_argument("--operations", nargs="+", choices=OPERATIONS, default=list(OPERATIONS))
    parser.add_argument("--peers", nargs="+", default=[], help="only these peers; all by default")
    parser.add_argument(
        "--tasks", type=int, default=1_000_000, help="number in the large table of growth"
    )
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--chart", type=Path, help="file for the chart (SVG)")
    options = parser.parse_args()
    unknown = set(options.programs) - set(PROGRAMS)
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}: choose from {names}")
    began = time.monotonic()
    figures: dict[str, Any] = {}
    for name in options.programs or PROGRAMS:
        console.rule(name)
        with new_bench_database() as bench_db:
            figures.setdefault("machine", _machine(bench_db))
            figures[name] = PROGRAMS[name](bench_db, options)
    console.print(f"{time.monotonic() - began:.0f} s in all", style="dim")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    if options.chart and "peers" in figures:
        options.chart.write_text(chart.svg(figures["peers"]))
    return 1 if figures.get("peers", {}).get("failures") else 0


def _machine(bench_db: BenchDatabase) -> dict[str, Any]:
    with psycopg.connect(bench_db.url) as admin:
        postgres = admin.info.server_version // 10_000
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True)
    return {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "node": node.stdout.strip().removeprefix("v"),
        "postgres": postgres,
        "load_before": round(os.getloadavg()[0], 2),
    }


if __name__ == "__main__":
    sys.exit(main())
