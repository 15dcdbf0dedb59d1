"""Runs of pytest in forks of a process that has imported the libraries: a second or less each.

The changed module and everything that may have imported it are imported anew in each fork.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import pytest

# Fixtures that start PostgreSQL, which would take longer than everything else.
_DATABASES = {"postgres", "cluster"}

# A test that is found to fail within so many seconds is the first for the next mutants.
_SOON = 3.0


class Outcome(NamedTuple):
    """What became of one run: `failed` is None if every test has passed."""

    failed: str | None
    seconds: float


class _Selection:
    """Runs tests without a database only, if asked to, and first those that failed lately."""

    def __init__(self, with_database: bool, first: Sequence[str], found: Path) -> None:
        self._with_database = with_database
        self._first = {name: number for number, name in enumerate(first)}
        self._found = found

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        if not self._with_database:
            items[:] = [
                item for item in items if _DATABASES.isdisjoint(getattr(item, "fixturenames", ()))
            ]
        items.sort(key=lambda item: self._first.get(item.nodeid, len(self._first)))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._found.write_text(report.nodeid)


class Trials:
    """Runs of the same tests, in the tree below `place`."""

    def __init__(self, place: Path, tests: Sequence[str], *, with_database: bool) -> None:
        self._place = place
        self._tests = tests
        self._with_database = with_database
        self._first: list[str] = []
        self.control = self._forked(None)
        if self.control.failed is None:
            self._import_what_the_control_imported()
            self.control = self._forked(None)
        # Other programs may need the machine too.
        self._limit = 10 + 10 * self.control.seconds

    def run(self) -> Outcome:
        """Run the tests until the first that fails."""
        outcome = self._forked(self._limit)
        if outcome.failed is not None and "::" in outcome.failed and outcome.seconds < _SOON:
            self._first = [outcome.failed, *(x for x in self._first if x != outcome.failed)][:50]
        return outcome

    def _forked(self, limit: float | None) -> Outcome:
        assert threading.active_count() == 1, "a fork copies one thread only"
        found = self._place / "failed"
        found.write_text("before the first test")
        started = time.monotonic()
        pid = os.fork()
        if pid == 0:
            self._run_pytest(found)
        code = _wait(pid, None if limit is None else started + limit)
        seconds = time.monotonic() - started
        if code is None:
            return Outcome("timeout", seconds)
        return Outcome(found.read_text() if code else None, seconds)

    def _run_pytest(self, found: Path) -> NoReturn:
        code = 1
        try:
            os.setsid()
            os.chdir(self._place)
            output = os.open(self._place / "output", os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
            os.dup2(output, 1)
            os.dup2(output, 2)
            arguments = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
            # Reproducible; and assertions stay as they are, because their messages are not shown.
            arguments += ["--hypothesis-seed=0", "--assert=plain"]
            selection = _Selection(self._with_database, self._first, found)
            code = int(pytest.main([*arguments, *self._tests], [selection]))
            (self._place / "imported").write_text(json.dumps(self._libraries()))
        finally:
            sys.stdout.flush()
            os._exit(code)

    def _libraries(self) -> list[str]:
        """The modules that are imported now, but those of the tree."""
        several: list[tuple[str, Any]] = list(sys.modules.items())
        files = {name: getattr(module, "__file__", None) for name, module in several}
        return [
            name
            for name, file in files.items()
            if file and not Path(file).is_relative_to(self._place) and name != "__main__"
        ]

    def _import_what_the_control_imported(self) -> None:
        for name in json.loads((self._place / "imported").read_text()):
            if name not in sys.modules:
                importlib.import_module(name)
        # pytest collects garbage at its end, and need not look at what the fork began with.
        gc.collect()
        gc.freeze()


def _wait(pid: int, until: float | None) -> int | None:
    """The exit code of a child; None if it takes too long, and then its whole group is ended."""
    while True:
        done, status = os.waitpid(pid, 0 if until is None else os.WNOHANG)
        if done:
            break
        if until is not None and time.monotonic() > until:
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return None
        time.sleep(0.005)
    return os.waitstatus_to_exitcode(status)
