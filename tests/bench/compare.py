"""All peers under the same load, in turn, over several rounds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from statistics import geometric_mean, median
from typing import Any

from bench.check_operations import check_operations
from bench.database import BenchDatabase
from bench.servers import all_peers, running
from bench.wrk import OPERATIONS, Load, Sample

OURS = "taskapi"
MEASURES = ("per_second", "server_us", "postgres_us", "p50_ms", "p99_ms")


@dataclass
class Comparison:
    """All samples, by operation and peer; the results are their medians."""

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
        """Rounds in which an answer was not a success: they are not counted."""
        return [
            f"{operation}, {peer}, round {number}: {sample.failed} of {sample.requests} failed"
            for operation, peers in self.samples.items()
            for peer, samples in peers.items()
            for number, sample in enumerate(samples, 1)
            if sample.failed or not sample.requests
        ]

    def of(self, operation: str, peer: str, measure: str) -> float:
        """Return the median over the rounds without a failure, or NaN if there is none."""
        whole = [s for s in self.samples[operation][peer] if s.requests and not s.failed]
        return median(getattr(s, measure) for s in whole) if whole else float("nan")

    def ratio(self, operation: str, peer: str) -> float:
        """Return taskapi's requests per second divided by the peer's."""
        ours = self.of(operation, OURS, "per_second")
        return ours / self.of(operation, peer, "per_second")

    def cpu_ratio(self, operation: str, peer: str) -> float:
        """Return taskapi's CPU per request, server and database together, divided by the peer's."""
        ours, theirs = (
            self.of(operation, name, "server_us") + self.of(operation, name, "postgres_us")
            for name in (OURS, peer)
        )
        return ours / theirs

    def spread(self, operation: str, peer: str) -> float:
        """Return the requests per second of the best round divided by those of the worst."""
        rates = [sample.per_second for sample in self.samples[operation][peer]]
        return max(rates) / min(rates)

    def mean(self, ratio: Callable[[str, str], float], peer: str) -> float:
        """Return the geometric mean over the operations."""
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
    bench_db: BenchDatabase,
    *,
    rounds: int,
    seconds: int,
    operations: Sequence[str] = OPERATIONS,
    peers: Sequence[str] = (),
    report_progress: Callable[[str], None],
) -> Comparison:
    """Measure A B C A B C …, after a first turn that is not counted."""
    bench_db.seed()
    load = Load.on(bench_db)
    found = Comparison()
    wanted = [peer for peer in all_peers(bench_db) if not peers or peer.name in peers]
    with ExitStack() as stack:
        servers = [stack.enter_context(running(peer, bench_db.place)) for peer in wanted]
        for number, server in enumerate(servers):
            check_operations(server, number)
        bench_db.restore()
        report_progress("warming up")
        for operation in operations:
            for server in servers:
                load.run(server, operation, 1)
        for turn in range(1, rounds + 1):
            for operation in operations:
                report_progress(f"round {turn} of {rounds}: {operation}")
                for server in servers:
                    found.add(operation, server.name, load.run(server, operation, seconds))
    return found
