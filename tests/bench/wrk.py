"""One measurement: wrk asks, and the CPU of everybody who works for it is read before and after."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.cpu import seconds_of
from bench.servers import Running
from bench.world import World

OPERATIONS = ("get", "list", "create", "update", "toggle", "delete", "mix")
# After these the tasks are no longer those of the beginning.
SPOILING = {"create", "delete", "mix"}
_CONNECTIONS = 16
_SCRIPT = Path(__file__).parent / "ask.lua"


@dataclass(frozen=True)
class Sample:
    """Of one operation, one server, one round."""

    requests: int
    failed: int
    """Answers of 400 and more, and connections that broke."""
    per_second: float
    server_us: float
    postgres_us: float
    p50_ms: float
    p99_ms: float


@dataclass
class Load:
    """The load generator, with the tokens and ids that it asks for."""

    world: World
    tokens: Path
    ids: Path
    _seed: int = 0

    @classmethod
    def on(cls, world: World) -> Load:
        return cls(world, *world.write_targets())

    def run(self, server: Running, operation: str, seconds: int) -> Sample:
        """Ask for so long; the tasks are then put back."""
        self._seed += 1
        postgres = psutil.Process(self.world.server.pid)
        command = ["wrk", "-t1", f"-c{_CONNECTIONS}", f"-d{seconds}s"]
        arguments = [operation, str(self.tokens), str(self.ids), str(self._seed)]
        command += ["--timeout", "10s", "-s", str(_SCRIPT), server.base, "--", *arguments]
        before = seconds_of(server.process), seconds_of(postgres)
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
        after = seconds_of(server.process), seconds_of(postgres)
        if operation in SPOILING:
            self.world.restore()
        said = json.loads(done.stdout.splitlines()[-1])
        requests = max(1, said["requests"])
        return Sample(
            requests=said["requests"],
            failed=said["refused"] + said["broken"],
            per_second=requests / said["microseconds"] * 1e6,
            server_us=(after[0] - before[0]) / requests * 1e6,
            postgres_us=(after[1] - before[1]) / requests * 1e6,
            p50_ms=said["p50"] / 1000,
            p99_ms=said["p99"] / 1000,
        )
