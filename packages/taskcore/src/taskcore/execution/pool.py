"""The blocking driver's pool: connections that operations borrow, and lose under no circumstances.

An exception may be thrown into a thread between any two bytecodes: by a handler of a signal, or by
a time limit. So a connection, or the right to make one, is always in exactly one container, and
moves from one to the next in a single call into C, which nothing can interrupt:
`target.extend(map(source.get, (True,)))`. There is no lock that could be left locked, no count that
could be left wrong, and no thread but those that are connecting. A loan is given back by one call
that was prepared before it.

psycopg_pool takes locks in Python code; an exception there left them locked for good.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from queue import Empty, SimpleQueue
from time import monotonic, sleep
from typing import TypeAlias, TypeVar

from taskcore.errors import DatabaseClosed, NoConnection

from . import connectors
from .connection import Connection, is_usable

T = TypeVar("T")
Loan: TypeAlias = list[T]
GiveBack: TypeAlias = Callable[[], object]

# Seconds between two attempts to connect.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 0.5
# Of connections that nothing has needed for so long, one is closed.
_SHRINK_INTERVAL = 600.0


def lend(queue: SimpleQueue[T]) -> tuple[Loan[T], GiveBack]:
    """Return a list to move an item of the queue into, and the call that puts it back, once."""
    loan: Loan[T] = []
    return loan, partial(deque, map(queue.put, loan), 0)


class Pool:
    """At most `max_size` connections, made when they are needed."""

    def __init__(
        self,
        connect: Callable[[], Connection],
        *,
        min_size: int,
        max_size: int,
        max_waiting: int,
    ) -> None:
        self._connect = connect
        self._min_size = min_size
        self._max_size = max_size
        self._max_waiting = max_waiting
        # None wakes an operation that waits, once the pool is closed.
        self._idle: SimpleQueue[Connection | None] = SimpleQueue()
        # One entry for each connection that may still be made.
        self._room: list[object] = [None] * max_size
        self._waiting: set[object] = set()
        # Only the operation that has waited longest takes what comes back: without it, a thread
        # that has just given its connection back would take it again before another one wakes up.
        self._turn: SimpleQueue[None] = SimpleQueue()
        self._turn.put(None)
        self._wanted_until = 0.0
        self._failure: Exception | None = None
        self._fewest_idle = 0
        self._shrink_at = monotonic() + _SHRINK_INTERVAL
        self.closed = False

    def fill(self) -> None:
        """Start to make the connections that are always kept."""
        for _ in range(self._min_size):
            connectors.start(self._make_one)

    def close(self) -> None:
        """Close the idle connections; an operation that runs closes its own at its end."""
        self.closed = True
        self.drain()

    def drain(self) -> None:
        """Close what was given back to a closed pool."""
        while True:
            try:
                connection = self._idle.get_nowait()
            except Empty:
                break
            if connection is not None:
                connection.pgconn.finish()
        self._idle.put(None)

    def loan(self) -> tuple[Loan[Connection | None], GiveBack]:
        """Return an empty loan, and what ends it: to be called in a `finally`, and first there."""
        return lend(self._idle)

    def take(self, loan: Loan[Connection | None], deadline: float) -> Connection:
        """Move a live connection into the loan."""
        while True:
            self._take_any(loan, deadline)
            connection = loan[0]
            if self.closed or connection is None:
                raise DatabaseClosed
            if is_usable(connection):
                self._shrink()
                return connection
            self.discard(loan)

    def discard(self, loan: Loan[Connection | None]) -> None:
        """Close the connection of a loan, if it has one; another may be made in its place."""
        if loan and loan[0] is not None:
            loan[0].pgconn.finish()
            self._room.extend(map(loan.pop, (0,)))

    def stats(self) -> dict[str, int]:
        return {
            "pool_min": self._min_size,
            "pool_max": self._max_size,
            "pool_size": self._max_size - len(self._room),
            "pool_available": self._idle.qsize(),
            "requests_waiting": len(self._waiting),
        }

    def _take_any(self, loan: Loan[Connection | None], deadline: float) -> None:
        if not self._waiting:
            try:
                loan.extend(map(self._idle.get, (False,)))
            except Empty:
                pass
            else:
                return
        if self._max_waiting and len(self._waiting) >= self._max_waiting:
            raise NoConnection
        # A thread that connects sees the new time, or its end is seen here.
        self._wanted_until = max(self._wanted_until, deadline)
        if self._room and not self.closed:
            connectors.start(self._make_one)
        self._wait(loan, deadline)

    def _wait(self, loan: Loan[Connection | None], deadline: float) -> None:
        turn, give_turn_back = lend(self._turn)
        waiter = object()
        try:
            self._waiting.add(waiter)
            try:
                turn.extend(map(self._turn.get, (True,), (max(0.0, deadline - monotonic()),)))
                loan.extend(map(self._idle.get, (True,), (max(0.0, deadline - monotonic()),)))
            except Empty:
                raise NoConnection from self._failure
            finally:
                give_turn_back()
        finally:
            self._waiting.discard(waiter)

    def _make_one(self) -> None:
        """Connect, and try again as long as an operation waits; runs in a thread of its own."""
        while not self.closed:
            try:
                right = self._room.pop()
            except IndexError:
                return
            if self._connects():
                return
            self._room.append(right)
            if monotonic() >= self._wanted_until:
                return

    def _connects(self) -> bool:
        pause = _FIRST_PAUSE
        while True:
            try:
                connection = self._connect()
            except Exception as error:
                self._failure = error.with_traceback(None)
            else:
                self._failure = None
                self._idle.put(connection)
                if self.closed:
                    self.drain()
                return True
            if self.closed or monotonic() >= self._wanted_until:
                return False
            sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _shrink(self) -> None:
        """From time to time close a connection that was idle at every moment since the last."""
        self._fewest_idle = min(self._fewest_idle, self._idle.qsize())
        if monotonic() < self._shrink_at:
            return
        surplus = self._fewest_idle and self._max_size - len(self._room) > self._min_size
        self._shrink_at = monotonic() + _SHRINK_INTERVAL
        self._fewest_idle = self._max_size
        if surplus:
            loan, give_back = lend(self._idle)
            try:
                loan.extend(map(self._idle.get, (False,)))
                self.discard(loan)
            except Empty:
                return
            finally:
                give_back()
