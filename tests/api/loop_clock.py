"""The running event loop's clock, which a test can put forward instead of waiting for minutes."""

from __future__ import annotations

import asyncio


class Clock:
    """Timers that are due at the new time run at the test's next await."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._ahead = 0.0
        real = loop.time
        loop.time = lambda: real() + self._ahead  # type: ignore[method-assign]

    async def forward(self, seconds: float) -> None:
        """Move the clock, after every ready task has reached its next wait.

        A timeout that such a task starts is therefore counted from before the move.
        """
        for _ in range(10):
            await asyncio.sleep(0)
        self._ahead += seconds
