"""The access log of a server process: its lines are written once for each turn of the event loop.

A line for each write costs a system call for each request. A process that is killed loses the lines
of one turn at most.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import select
from contextlib import suppress


class AccessLog:
    """Lines that wait to be written to a descriptor, each with its line break."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lines: list[bytes] = []
        # The event loop that will write them: one that has ended does nothing more.
        self._loop: asyncio.AbstractEventLoop | None = None
        self._scheduled = False
        atexit.register(self.flush)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._lines.clear)  # the parent writes them

    def add(self, line: bytes) -> None:
        self._lines.append(line)
        # The loop is remembered, because to ask for the running one costs a system call.
        if self._loop is None or not self._loop.is_running():
            self._loop, self._scheduled = _running_loop(), False
        if self._loop is None:
            self.flush()
        elif not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Write all lines, whole and in order."""
        self._scheduled = False
        lines = self._lines[:]
        self._lines.clear()
        # Processes may share a pipe: a write of at most PIPE_BUF bytes is never torn apart by
        # another one's.
        together = b""
        for line in lines:
            if len(together) + len(line) > select.PIPE_BUF:
                self._write(together)
                together = b""
            together += line
        self._write(together)

    def _write(self, data: bytes) -> None:
        with suppress(OSError):  # without a log, there is no place to report it
            while data:
                try:
                    data = data[os.write(self._descriptor, data) :]
                except BlockingIOError:
                    # It is not ready: wait, as a write to a blocking descriptor does.
                    poll = select.poll()
                    poll.register(self._descriptor, select.POLLOUT)
                    poll.poll()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    """The event loop, or None before it runs and after its end."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
