"""What a tree of processes has cost so far."""

from __future__ import annotations

import psutil


def seconds_of(*roots: psutil.Process) -> float:
    """CPU time of these processes and all below them, those that have ended included."""
    total = 0.0
    for root in roots:
        for process in [root, *root.children(recursive=True)]:
            try:
                times = process.cpu_times()
            except psutil.NoSuchProcess:  # its time is its parent's now
                continue
            total += times.user + times.system + times.children_user + times.children_system
    return total
