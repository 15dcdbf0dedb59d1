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
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import pytest

# Fixtures that start PostgreSQL, which would take longer than everything else.
_DATABASES = {"postgres", "cluster"}

# A test that takes longer does not come first because it has killed a mutant.
_SOON = 3.0

# What one test may take, in seconds and in times of what it took without a mutant. Other programs
# may need the machine too.
_AT_LEAST, _TIMES = 30, 5


class Outcome(NamedTuple):
    """What became of one run: `failed` is None if every test has passed."""

    failed: str | None
    seconds: float


class _Plugin:
    """Leaves out tests with a database unless asked not to, sorts the others, and times them."""

    def __init__(self, place: Path, with_database: bool, order: Mapping[str, float]) -> None:
        self._begun = place / "begun"
        self._with_database = with_database
        self._order = order
        self.failed: str | None = None
        self.seconds: dict[str, float] = {}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        if not self._with_database:
            items[:] = [
                item for item in items if _DATABASES.isdisjoint(getattr(item, "fixturenames", ()))
            ]
        items.sort(key=lambda item: self._order.get(item.nodeid, 0))

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._begun.write_text(nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed = report.nodeid
        if report.when == "call":
            self.seconds[report.nodeid] = report.duration


class Trials:
    """Runs of the same tests, in the tree below `place`."""

    def __init__(self, place: Path, tests: Sequence[str], *, with_database: bool) -> None:
        self._place = place
        self._tests = tests
        self._with_database = with_database
        self._begun = place / "begun"
        # The fast tests come first, and before them those that have killed a mutant.
        self._seconds: dict[str, float] = {}
        self._order: dict[str, float] = {}
        self._killers = 0
        self.control = self._forked(limited=False)
        if self.control.failed is None:
            noted = json.loads((place / "noted").read_text())
            self._import(noted["libraries"])
            self._seconds = noted["seconds"]
            self._order = dict(self._seconds)

    def run(self) -> Outcome:
        """Run the tests until the first that fails."""
        outcome = self._forked(limited=True)
        if self._seconds.get(outcome.failed or "", _SOON) < _SOON:
            self._killers += 1
            self._order[str(outcome.failed)] = -self._killers
        return outcome

    def _forked(self, *, limited: bool) -> Outcome:
        assert threading.active_count() == 1, "a fork copies one thread only"
        (self._place / "failed").write_text("before the first test")
        self._begun.write_text("")
        started = time.monotonic()
        pid = os.fork()
        if pid == 0:
            self._run_pytest()
        try:
            code = self._exit_code(pid, limited=limited)
        except BaseException:
            self._end(pid)
            raise
        if code is None:
            self._end(pid)
        seconds = time.monotonic() - started
        if code is None:
            return Outcome(f"timeout in {self._begun.read_text()}", seconds)
        return Outcome((self._place / "failed").read_text() if code else None, seconds)

    def _run_pytest(self) -> NoReturn:
        code = 1
        try:
            os.setsid()
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.chdir(self._place)
            output = os.open(self._place / "output", os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
            os.dup2(output, 1)
            os.dup2(output, 2)
            arguments = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
            # Reproducible; and assertions stay as they are, because their messages are not shown.
            arguments += ["--hypothesis-seed=0", "--assert=plain"]
            plugin = _Plugin(self._place, self._with_database, self._order)
            code = int(pytest.main([*arguments, *self._tests], [plugin]))
            if plugin.failed is not None:
                (self._place / "failed").write_text(plugin.failed)
            noted = {"libraries": self._libraries(), "seconds": plugin.seconds}
            (self._place / "noted").write_text(json.dumps(noted))
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

    def _import(self, names: Sequence[str]) -> None:
        for name in names:
            if name not in sys.modules:
                importlib.import_module(name)
        # pytest collects garbage at its end, and need not look at what the fork began with.
        gc.collect()
        gc.freeze()

    def _exit_code(self, pid: int, *, limited: bool) -> int | None:
        """The exit code of a run; None if one of its tests takes too long."""
        while not limited or time.time() < self._deadline():
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.005)
        return None

    def _deadline(self) -> float:
        """When the test that runs now has taken too long."""
        usual = self._seconds.get(self._begun.read_text(), 0)
        return self._begun.stat().st_mtime + _AT_LEAST + _TIMES * usual

    def _end(self, pid: int) -> None:
        """End a run with all its processes."""
        if self._with_database:  # pytest ends its fixtures, which may have started PostgreSQL
            os.killpg(pid, signal.SIGINT)
            until = time.monotonic() + 20
            while time.monotonic() < until:
                if os.waitpid(pid, os.WNOHANG)[0]:
                    return
                time.sleep(0.005)
        os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
