"""One measurement: wrk sends requests; the CPU of all processes is read before and after."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.cpu import seconds_of
from bench.database import BenchDatabase
from bench.servers import Running

OPERATIONS = ("get", "list", "create", "update", "toggle", "delete", "mix")
# After these the tasks must be restored.
CHANGE_THE_ROWS = {"create", "delete", "mix"}
_CONNECTIONS = 16
_SCRIPT = Path(__file__).parent / "requests.lua"


@dataclass(frozen=True)
class Sample:
    """The result of one operation, one server, one round."""

    requests: int
    failed: int
    """Answers with a status of 400 or more, and broken connections."""
    per_second: float
    server_us: float
    postgres_us: float
    p50_ms: float
    p99_ms: float


@dataclass
class Load:
    """The load generator, with the files of tokens and ids that its requests use."""

    bench_db: BenchDatabase
    tokens: Path
    ids: Path
    _seed: int = 0

    @classmethod
    def on(cls, bench_db: BenchDatabase) -> Load:
        return cls(bench_db, *bench_db.write_targets())

    def run(
        self, server: Running, operation: str, seconds: int, connections: int = _CONNECTIONS
    ) -> Sample:
        """Send requests for this many seconds, then restore the tasks if they have changed."""
        self._seed += 1
        postgres = psutil.Process(self.bench_db.server.pid)
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s"]
        arguments = [operation, str(self.tokens), str(self.ids), str(self._seed)]
        command += ["--timeout", "10s", "-s", str(_SCRIPT), server.base, "--", *arguments]
        before = seconds_of(server.process), seconds_of(postgres)
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
        after = seconds_of(server.process), seconds_of(postgres)
        if operation in CHANGE_THE_ROWS:
            self.bench_db.restore()
        figures = json.loads(done.stdout.splitlines()[-1])
        requests = max(1, figures["requests"])
        return Sample(
            requests=figures["requests"],
            failed=figures["refused"] + figures["broken"],
            per_second=requests / figures["microseconds"] * 1e6,
            server_us=(after[0] - before[0]) / requests * 1e6,
            postgres_us=(after[1] - before[1]) / requests * 1e6,
            p50_ms=figures["p50"] / 1000,
            p99_ms=figures["p99"] / 1000,
        )
