"""Reports when a Python file was saved.

A thread compares the files' status every 0.4 s. For so few files that costs next to nothing; it
works on every file system, and no change after the first look is missed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread

_INTERVAL = 0.4


def watch(directories: Sequence[Path], on_change: Callable[[str], None], stop: Event) -> None:
    """Call `on_change` with the names of the changed files, until `stop` is set."""
    first = _snapshot(directories)

    def compare() -> None:
        before = first
        while not stop.wait(_INTERVAL):
            now = _snapshot(directories)
            if changed := {path.name for path, _ in now.items() ^ before.items()}:
                on_change(", ".join(sorted(changed)))
            before = now

    Thread(target=compare, daemon=True).start()


def _snapshot(directories: Sequence[Path]) -> dict[Path, tuple[int, ...]]:
    """Each Python file with the parts of its status that differ after it was saved."""
    found: dict[Path, tuple[int, ...]] = {}
    for directory in directories:
        for place, _, names in os.walk(directory):
            for path in (Path(place, name) for name in names if name.endswith(".py")):
                with suppress(FileNotFoundError):  # deleted since os.walk saw it
                    status = path.stat()
                    found[path] = (status.st_mtime_ns, status.st_size, status.st_ino)
    return found
