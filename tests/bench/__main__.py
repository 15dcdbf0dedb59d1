"""`python -m bench`: the comparison and the small measuring programs, or those that are named."""

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

from bench import chart, growth, latency, library, long_list, report, start, workers
from bench.compare import compare
from bench.world import World, a_world
from bench.wrk import OPERATIONS

# Where nobody looks, rich knows no width.
console = Console(width=None if sys.stdout.isatty() else 110)


def _peers(world: World, options: argparse.Namespace) -> dict[str, Any]:
    found = compare(
        world,
        rounds=options.rounds,
        seconds=options.seconds,
        operations=options.operations,
        peers=options.peers,
        say=lambda line: console.print(line, style="dim"),
    )
    report.show(console, found)
    return found.as_json()


Program: TypeAlias = Callable[[World, argparse.Namespace], dict[str, Any]]
PROGRAMS: dict[str, Program] = {
    "peers": _peers,
    "latency": lambda world, _: latency.measure(world, console),
    "growth": lambda world, options: growth.measure(world, console, tasks=options.tasks),
    "long_list": lambda world, _: long_list.measure(world, console),
    "workers": lambda world, options: workers.measure(
        world, console, rounds=options.rounds, seconds=options.seconds
    ),
    "library": lambda world, _: library.measure(world, console),
    "start": lambda world, _: start.measure(world, console),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    names = ", ".join(PROGRAMS)
    parser.add_argument("programs", nargs="*", help=f"{names}; all of them by default")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3, help="of one measurement")
    parser.add_argument("--operations", nargs="+", choices=OPERATIONS, default=list(OPERATIONS))
    parser.add_argument("--peers", nargs="+", default=[], help="only these; all by default")
    parser.add_argument("--tasks", type=int, default=1_000_000, help="of the growth's large table")
    parser.add_argument("--json", type=Path, help="where the figures go")
    parser.add_argument("--chart", type=Path, help="where the picture goes")
    options = parser.parse_args()
    unknown = set(options.programs) - set(PROGRAMS)
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}: choose from {names}")
    began = time.monotonic()
    figures: dict[str, Any] = {}
    for name in options.programs or PROGRAMS:
        console.rule(name)
        with a_world() as world:
            figures.setdefault("machine", _machine(world))
            figures[name] = PROGRAMS[name](world, options)
    console.print(f"{time.monotonic() - began:.0f} s in all", style="dim")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    if options.chart and "peers" in figures:
        options.chart.write_text(chart.drawn(figures["peers"]))
    return 1 if figures.get("peers", {}).get("failures") else 0


def _machine(world: World) -> dict[str, Any]:
    with psycopg.connect(world.url) as admin:
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
