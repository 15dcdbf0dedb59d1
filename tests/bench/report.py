"""The comparison as tables on a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from bench.compare import OURS, Comparison


def show(console: Console, found: Comparison) -> None:
    """Print the cost of each operation with each peer, the ratios, and the failed rounds."""
    costs = Table(title="medians over the rounds")
    costs.add_column("operation")
    costs.add_column("server")
    for name in ("requests/s", "CPU µs: server", "PostgreSQL", "p50 ms", "p99 ms", "spread"):
        costs.add_column(name, justify="right")
    for operation in found.operations:
        for peer in found.peers:
            server, postgres, p50, p99 = (
                found.of(operation, peer, measure)
                for measure in ("server_us", "postgres_us", "p50_ms", "p99_ms")
            )
            costs.add_row(
                operation if peer == found.peers[0] else "",
                f"[bold]{peer}[/]" if peer == OURS else peer,
                f"{found.of(operation, peer, 'per_second'):,.0f}",
                f"{server:,.0f}",
                f"{postgres:,.0f}",
                f"{p50:.2f}",
                f"{p99:.2f}",
                f"{found.spread(operation, peer):.2f}",
                end_section=peer == found.peers[-1],
            )
    console.print(costs)
    console.print(_ratios(found))
    for failure in found.failures:
        console.print(f"FAILED {failure}", style="bold red")


def _ratios(found: Comparison) -> Table:
    """Return the ratios of requests per second, and of CPU (server and PostgreSQL together)."""
    table = Table(title=f"{OURS} ÷ peer: requests/s (CPU per request)")
    table.add_column("")
    peers = [peer for peer in found.peers if peer != OURS]
    for peer in peers:
        table.add_column(peer, justify="right")
    for operation in found.operations:
        cells = (
            f"{found.ratio(operation, peer):.2f} ({found.cpu_ratio(operation, peer):.2f})"
            for peer in peers
        )
        table.add_row(operation, *cells)
    table.add_section()
    means = (
        f"{found.mean(found.ratio, peer):.2f} ({found.mean(found.cpu_ratio, peer):.2f})"
        for peer in peers
    )
    table.add_row("geometric mean", *means, style="bold")
    return table
