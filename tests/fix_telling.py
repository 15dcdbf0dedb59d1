"""What may stand in no log and in no error's answer, and the search for it.

PostgreSQL's own log is not searched: it is the operator's, and holds what the operator lets it.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import httpx

from fix_api import SECRET
from fix_schema import PASSWORD

# Every title that people at work give has it.
MARK = "for-nobody-else"

_PATTERNS = {
    "title": MARK,
    "secret": re.escape(SECRET),
    "password": PASSWORD,
    "url": r"://[^\s/:@]*:[^\s/@]+@",
    "token": r"\beyJ[\w-]{8,}",
    "sql": r"\bSELECT\s|\bINSERT INTO\b|\bUPDATE\s+\S+\s+SET\b|\bDELETE FROM\b|\bset_config\b",
}
# Where one of these is there are no logs of ours: PostgreSQL's folders, and copies of packages.
_NO_LOGS = {"PG_VERSION", "password", "__init__.py"}


def title() -> str:
    """A new title."""
    return f"{MARK} {uuid4().hex}"


def told(text: str, also: tuple[str, ...] = ()) -> list[str]:
    """The names of what a text tells."""
    found = [name for name, pattern in _PATTERNS.items() if re.search(pattern, text)]
    return found + [f"word {number}" for number, word in enumerate(also) if word in text]


class Heard(logging.Handler):
    """What this process logs meanwhile, and what it is told by error answers."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []
        self.answers = 0
        self.told: list[tuple[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


# Of the innermost search; None outside of all.
_heard: Heard | None = None


def heard(answer: httpx.Response) -> None:
    """Searches an answer if it is an error's, its headers too."""
    if answer.status_code >= 400 and _heard is not None:
        text = f"{answer.headers.multi_items()} {answer.text}"
        _heard.answers += 1
        _heard.told += [(name, text) for name in told(text)]


class Searched:
    """What was searched, once the block has ended."""

    def __init__(self) -> None:
        self.files: set[Path] = set()
        self.characters = 0
        self.answers = 0


@contextmanager
def nothing_told(base: Path, *also: str) -> Iterator[Searched]:
    """All that is written below a directory, logged here and answered meanwhile is searched."""
    before = {path: path.stat().st_size for path in _files(base)}
    searched, here = Searched(), Heard()
    with _hearing(here):
        yield searched
    texts = {path: _text(path, before.get(path, 0)) for path in _files(base)}
    searched.files = {path for path, text in texts.items() if text}
    searched.characters = sum(map(len, texts.values()))
    searched.answers = here.answers
    found = [(path.name, name) for path, text in texts.items() for name in told(text, also)]
    found += [("this process", name) for name in told("\n".join(here.lines), also)]
    assert found + here.told == []


@contextmanager
def _hearing(here: Heard) -> Iterator[None]:
    """What an inner search provokes is none of the outer one's."""
    global _heard
    root = logging.getLogger()
    outer, _heard = _heard, here
    if outer is not None:
        root.removeHandler(outer)
    root.addHandler(here)
    try:
        yield
    finally:
        root.removeHandler(here)
        if outer is not None:
            root.addHandler(outer)
        _heard = outer


def _text(path: Path, start: int) -> str:
    with path.open("rb") as file:
        file.seek(start)
        return file.read().decode(errors="replace")


def _files(base: Path) -> Iterator[Path]:
    for directory, below, names in os.walk(base):
        if _NO_LOGS.intersection(names):
            below.clear()
            continue
        yield from (path for name in names if (path := Path(directory, name)).is_file())
