"""The running event loop's clock, which a test can put forward instead of waiting for minutes."""

from __future__ import annotations

import asyncio


class Clock:
    """What is due by the new time is done as soon as the test awaits."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._ahead = 0.0
        real = loop.time
        loop.time = lambda: real() + self._ahead  # type: ignore[method-assign]

    async def forward(self, seconds: float) -> None:
        """Only after what can go on has come to its next wait: its time is counted from then."""
        for _ in range(10):
            await asyncio.sleep(0)
        self._ahead += seconds
