"""Everybody side by side: the same load in turn, over several rounds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from statistics import geometric_mean, median
from typing import Any

from bench.agree import agree
from bench.servers import everybody, running
from bench.world import World
from bench.wrk import OPERATIONS, Load, Sample

OURS = "taskapi"
MEASURES = ("per_second", "server_us", "postgres_us", "p50_ms", "p99_ms")


@dataclass
class Comparison:
    """All samples, by operation and peer; what is said of them are medians."""

    samples: dict[str, dict[str, list[Sample]]] = field(default_factory=dict)

    def add(self, operation: str, peer: str, sample: Sample) -> None:
        self.samples.setdefault(operation, {}).setdefault(peer, []).append(sample)

    @property
    def operations(self) -> list[str]:
        return list(self.samples)

    @property
    def peers(self) -> list[str]:
        return list(next(iter(self.samples.values()), {}))

    @property
    def failures(self) -> list[str]:
        """Rounds in which not every answer was a success: they count for nothing."""
        return [
            f"{operation}, {peer}, round {number}: {sample.failed} of {sample.requests} failed"
            for operation, peers in self.samples.items()
            for peer, samples in peers.items()
            for number, sample in enumerate(samples, 1)
            if sample.failed or not sample.requests
        ]

    def of(self, operation: str, peer: str, measure: str) -> float:
        """The median over the rounds in which all went well; NaN without one."""
        whole = [s for s in self.samples[operation][peer] if s.requests and not s.failed]
        return median(getattr(s, measure) for s in whole) if whole else float("nan")

    def ratio(self, operation: str, peer: str) -> float:
        """Our requests per second for one of theirs."""
        ours = self.of(operation, OURS, "per_second")
        return ours / self.of(operation, peer, "per_second")

    def cpu_ratio(self, operation: str, peer: str) -> float:
        """Our CPU for a request, server and database together, for one unit of theirs."""
        ours, theirs = (
            self.of(operation, name, "server_us") + self.of(operation, name, "postgres_us")
            for name in (OURS, peer)
        )
        return ours / theirs

    def spread(self, operation: str, peer: str) -> float:
        """How far the rounds lie apart: the best's requests per second for the worst's."""
        rates = [sample.per_second for sample in self.samples[operation][peer]]
        return max(rates) / min(rates)

    def mean(self, ratio: Callable[[str, str], float], peer: str) -> float:
        """The geometric mean over the operations."""
        return geometric_mean(ratio(operation, peer) for operation in self.operations)

    def as_json(self) -> dict[str, Any]:
        peers = [peer for peer in self.peers if peer != OURS]
        operations = {
            operation: {
                peer: {
                    **{name: round(self.of(operation, peer, name), 3) for name in MEASURES},
                    "spread": round(self.spread(operation, peer), 3),
                    "rounds": [asdict(sample) for sample in samples],
                }
                for peer, samples in by_peer.items()
            }
            for operation, by_peer in self.samples.items()
        }
        ratios = {
            peer: {
                "per_second": {op: round(self.ratio(op, peer), 3) for op in self.operations},
                "per_second_mean": round(self.mean(self.ratio, peer), 3),
                "cpu": {op: round(self.cpu_ratio(op, peer), 3) for op in self.operations},
                "cpu_mean": round(self.mean(self.cpu_ratio, peer), 3),
            }
            for peer in peers
        }
        return {"operations": operations, "ratios": ratios, "failures": self.failures}


def compare(
    world: World,
    *,
    rounds: int,
    seconds: int,
    operations: Sequence[str] = OPERATIONS,
    peers: Sequence[str] = (),
    say: Callable[[str], None],
) -> Comparison:
    """Measure A B C A B C; the first turn of all is not counted."""
    world.seed()
    load = Load.on(world)
    found = Comparison()
    wanted = [peer for peer in everybody(world) if not peers or peer.name in peers]
    with ExitStack() as stack:
        servers = [stack.enter_context(running(peer, world.place)) for peer in wanted]
        for number, server in enumerate(servers):
            agree(server, number)
        world.restore()
        say("warming up")
        for operation in operations:
            for server in servers:
                load.run(server, operation, 1)
        for turn in range(1, rounds + 1):
            for operation in operations:
                say(f"round {turn} of {rounds}: {operation}")
                for server in servers:
                    found.add(operation, server.name, load.run(server, operation, seconds))
    return found
