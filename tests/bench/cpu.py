"""The CPU time of a tree of processes."""

from __future__ import annotations

import psutil


def seconds_of(*roots: psutil.Process) -> float:
    """Return the CPU time of these processes and their descendants, ended ones included."""
    total = 0.0
    for root in roots:
        for process in [root, *root.children(recursive=True)]:
            try:
                times = process.cpu_times()
            except psutil.NoSuchProcess:  # its time is counted in its parent
                continue
            total += times.user + times.system + times.children_user + times.children_system
    return total
