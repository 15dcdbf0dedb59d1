"""The running loop's clock, which a test can put forward: nobody waits for what takes minutes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest


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


async def until(condition: Callable[[], bool]) -> None:
    """Lets others run until it is so; 30 real seconds at the longest."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        await asyncio.sleep(0.001)


@pytest.fixture
async def clock() -> Clock:
    return Clock(asyncio.get_running_loop())
