"""Text that no log and no error answer may contain, and the search for it.

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

from support.api_server import SECRET
from support.sql import PASSWORD

# Every title that writers and load give has it.
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


def marked_title() -> str:
    """A new title."""
    return f"{MARK} {uuid4().hex}"


def forbidden_in(text: str, also: tuple[str, ...] = ()) -> list[str]:
    """Return the names of the forbidden patterns in a text."""
    found = [name for name, pattern in _PATTERNS.items() if re.search(pattern, text)]
    return found + [f"word {number}" for number, word in enumerate(also) if word in text]


class _Recorder(logging.Handler):
    """What this process logs meanwhile, and what it is told by error answers."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []
        self.answers = 0
        self.told: list[tuple[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


# Of the innermost search; None outside of all.
_recorder: _Recorder | None = None


def check_answer(answer: httpx.Response) -> None:
    """Searches an answer if it is an error's, its headers too."""
    if answer.status_code >= 400 and _recorder is not None:
        text = f"{answer.headers.multi_items()} {answer.text}"
        _recorder.answers += 1
        _recorder.told += [(name, text) for name in forbidden_in(text)]


class Searched:
    """What was searched, once the block has ended."""

    def __init__(self) -> None:
        self.files: set[Path] = set()
        self.characters = 0
        self.answers = 0


@contextmanager
def no_forbidden_text(base: Path, *also: str) -> Iterator[Searched]:
    """All that is written below a directory, logged here and answered meanwhile is searched."""
    before = {path: path.stat().st_size for path in _files(base)}
    searched, here = Searched(), _Recorder()
    with _recording(here):
        yield searched
    texts = {path: _text(path, before.get(path, 0)) for path in _files(base)}
    searched.files = {path for path, text in texts.items() if text}
    searched.characters = sum(map(len, texts.values()))
    searched.answers = here.answers
    found = [(path.name, name) for path, text in texts.items() for name in forbidden_in(text, also)]
    found += [("this process", name) for name in forbidden_in("\n".join(here.lines), also)]
    assert found + here.told == []


@contextmanager
def _recording(here: _Recorder) -> Iterator[None]:
    """What an inner search provokes is none of the outer one's."""
    global _recorder
    root = logging.getLogger()
    outer, _recorder = _recorder, here
    if outer is not None:
        root.removeHandler(outer)
    root.addHandler(here)
    try:
        yield
    finally:
        root.removeHandler(here)
        if outer is not None:
            root.addHandler(outer)
        _recorder = outer


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
