"""Tells when a file of code was saved.

By looking, twice or three times a second: that costs next to nothing for so few files, works on
every file system, and misses nothing that is saved after the first look.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread

_BETWEEN_LOOKS = 0.4


def watch(directories: Sequence[Path], tell: Callable[[str], None], end: Event) -> None:
    """Tell the names of what changes from now on, until the end."""
    first = _saved(directories)

    def look() -> None:
        seen = first
        while not end.wait(_BETWEEN_LOOKS):
            now = _saved(directories)
            if changed := {path.name for path, _ in now.items() ^ seen.items()}:
                tell(", ".join(sorted(changed)))
            seen = now

    Thread(target=look, daemon=True).start()


def _saved(directories: Sequence[Path]) -> dict[Path, tuple[int, ...]]:
    """Each file of code, and what is another once it was saved again."""
    found: dict[Path, tuple[int, ...]] = {}
    for directory in directories:
        for place, _, names in os.walk(directory):  # what vanishes meanwhile is left out
            for path in (Path(place, name) for name in names if name.endswith(".py")):
                with suppress(FileNotFoundError):
                    status = path.stat()
                    found[path] = (status.st_mtime_ns, status.st_size, status.st_ino)
    return found
