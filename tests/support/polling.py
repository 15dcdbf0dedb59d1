"""Waiting until a condition holds that another thread, process or database session brings about."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable

TIMEOUT = float(os.environ.get("TASKCORE_TEST_WAIT", "60"))
"""Seconds after which a wait fails: far more than any condition needs on a busy machine."""


def wait_until(
    condition: Callable[[], object], what: str = "the condition", *, timeout: float = TIMEOUT
) -> None:
    """Return as soon as the condition holds; fail the test, naming `what`, if it never does."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {timeout:g} seconds"
        time.sleep(0.01)


async def wait_until_async(condition: Callable[[], object], what: str = "the condition") -> None:
    """The same for code that runs in this event loop, which goes on meanwhile."""
    # Real time: tests may put the loop's own clock forward.
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {TIMEOUT:g} seconds"
        await asyncio.sleep(0.001)
