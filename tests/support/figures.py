"""Measured figures for the end of a run, and how long the tests of faults run."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeAlias

import pytest

# The long version of tests/faults and tests/poolers; the default is a short one.
FULL = os.environ.get("TASKCORE_TEST_PROFILE") == "full"
# Seconds that an answer may come after the deadline, and the first success after the outage. The
# short version shares its machine with other tests.
GRACE = 1.0 if FULL else 3.0
FIRST_SUCCESS = 2.0 if FULL else 4.0

Figure: TypeAlias = Callable[[str], None]

_FIGURES = pytest.StashKey[list[str]]()


@pytest.fixture
def figure(pytestconfig: pytest.Config) -> Figure:
    """Note a measured figure, which is printed at the end of the run."""
    return pytestconfig.stash.setdefault(_FIGURES, []).append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in terminalreporter.config.stash.get(_FIGURES, []):
        terminalreporter.write_line(line)
