"""The running event loop's clock, which a test can put forward instead of waiting for minutes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from support.polling import TIMEOUT


class Clock:
    """Timers that are due at the new time run at the test's next await."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._ahead = 0.0
        self._real = loop.time
        loop.time = lambda: self._real() + self._ahead  # type: ignore[method-assign]

    def stop(self) -> None:
        """Let the time be 10, and pass by `forward` only: sums of whole numbers are exact."""
        self._real = lambda: 10.0

    async def forward(self, seconds: float) -> None:
        """Move the clock, after every ready task has reached its next wait.

        A timeout that such a task starts is therefore counted from before the move.
        """
        for _ in range(10):
            await asyncio.sleep(0)
        self._ahead += seconds

    async def wait_until(self, condition: Callable[[], object]) -> None:
        """Wait while the clock is stopped; fail the test if the condition never holds."""
        deadline = time.monotonic() + TIMEOUT
        while not condition():
            assert time.monotonic() < deadline
            await asyncio.sleep(0)
