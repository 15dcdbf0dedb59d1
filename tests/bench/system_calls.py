"""The system calls of a get, counted by strace in the server's process."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import time
from typing import Any

from rich.console import Console

from bench.database import BenchDatabase
from bench.servers import Peer, fastify, limit, running, taskapi
from bench.wrk import Load

_SECONDS = 3
_LINE = re.compile(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", re.MULTILINE)


def measure(bench_db: BenchDatabase, console: Console) -> dict[str, Any]:
    """Count them while wrk sends requests; strace slows the server down, and adds none."""
    if shutil.which("strace") is None:
        raise RuntimeError("strace is missing: apt-get install --no-install-recommends strace")
    bench_db.seed()
    load = Load.on(bench_db)
    peers = (fastify(bench_db.owner_url), limit(bench_db.tenant_url), taskapi(bench_db.tenant_url))
    found = {peer.name: _count(bench_db, load, peer) for peer in peers}
    for name, calls in found.items():
        most = ", ".join(f"{call} {number:.2f}" for call, number in calls.items() if number > 0.05)
        console.print(f"{name}: {sum(calls.values()):.1f} a request ({most})")
    return found


def _count(bench_db: BenchDatabase, load: Load, peer: Peer) -> dict[str, float]:
    report = bench_db.place / "strace"
    with running(peer, bench_db.place) as server:
        load.run(server, "get", 1)  # opens the connections
        command = ["strace", "-f", "-c", "-p", str(server.process.pid), "-o", str(report)]
        with subprocess.Popen(command, stderr=subprocess.PIPE) as strace:
            assert strace.stderr is not None
            strace.stderr.readline()  # "Process … attached"
            time.sleep(0.5)
            requests = load.run(server, "get", _SECONDS).requests
            strace.send_signal(signal.SIGINT)
            strace.communicate()
    calls = {name: int(number) for number, name in _LINE.findall(report.read_text())}
    calls.pop("total", None)
    return {name: number / requests for name, number in sorted(calls.items())}
