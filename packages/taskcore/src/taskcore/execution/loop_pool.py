"""The awaiting driver's pool: connections of one event loop, lent from a plain deque.

A connection comes back by itself when its answer is complete, and goes to the operation that has
waited longest. There is no lock, because nothing here runs outside of the loop, and no timer for
each wait: a sweep looks at all deadlines four times a second, and exactly at one that is nearer.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from time import monotonic

from taskcore.connections import login_refusal
from taskcore.errors import DatabaseClosed, LoginRefused, NoConnection

from .connection import AsyncConnection
from .loop_connection import LoopConnection

_log = logging.getLogger(__name__)

_SWEEP_SECONDS = 0.25
# Seconds between two attempts to connect.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 0.5
# Of connections that nothing has needed for so long, one is closed.
_SHRINK_INTERVAL = 600.0


class _Waiter:
    """An operation that waits for a connection."""

    __slots__ = ("lent", "since", "until")

    def __init__(self, lent: asyncio.Future[LoopConnection], until: float) -> None:
        self.lent = lent
        self.since = monotonic()
        self.until = until


class LoopPool:
    """At most `max_size` connections, made when they are needed."""

    def __init__(
        self,
        connect: Callable[[], Awaitable[AsyncConnection]],
        *,
        min_size: int,
        max_size: int,
        max_waiting: int,
    ) -> None:
        self._connect = connect
        self._min_size = min_size
        self._max_size = max_size
        self._max_waiting = max_waiting
        self._loop = asyncio.get_running_loop()
        self._open: set[LoopConnection] = set()
        self._idle: deque[LoopConnection] = deque()
        self._waiting: deque[_Waiter] = deque()
        self._connecting: set[asyncio.Task[None]] = set()
        self._failure: Exception | None = None
        self._counters: Counter[str] = Counter()
        self._fewest_idle = 0
        self._shrink_at = monotonic() + _SHRINK_INTERVAL
        self._sweep_at = 0.0
        self._sweeper: asyncio.TimerHandle | None = None
        self.closed = False

    def fill(self) -> None:
        """Start to make the connections that are always kept."""
        self._schedule_sweep(monotonic() + _SWEEP_SECONDS)
        self._connect_more(self._min_size)

    def take(self) -> LoopConnection | None:
        """Return an idle connection that is alive, if there is one."""
        while self._idle:
            connection = self._idle.pop()
            self._fewest_idle = min(self._fewest_idle, len(self._idle))
            if connection.is_usable():
                return connection
            connection.hang_up()
        return None

    async def wait(self, until: float) -> LoopConnection:
        """Return a connection, once there is one."""
        while True:
            connection = self.take() or await self._lent(until)
            if connection.is_usable():
                return connection
            connection.hang_up()

    def watch(self, deadline: float) -> None:
        """Let the sweep come in time for this deadline."""
        if deadline < self._sweep_at:
            self._schedule_sweep(deadline)

    async def close(self) -> None:
        """Close the idle connections now, and each of the others when its answer is complete."""
        self.closed = True
        while self._waiting:
            self._refuse(self._waiting.popleft(), DatabaseClosed())
        connecting = list(self._connecting)
        for task in connecting:
            task.cancel()
        while self._idle:
            self._idle.pop().hang_up()
        await asyncio.gather(*connecting, return_exceptions=True)

    def hang_up_all(self) -> None:
        """Close all connections, when their loop is closed."""
        self.closed = True
        for connection in list(self._open):
            connection.hang_up()

    def stats(self) -> dict[str, int]:
        return {
            "pool_min": self._min_size,
            "pool_max": self._max_size,
            "pool_size": len(self._open),
            "pool_available": len(self._idle),
            "requests_waiting": len(self._waiting),
            **{name: self._counters[name] for name in _COUNTERS},
        }

    async def _lent(self, until: float) -> LoopConnection:
        if self.closed:
            raise DatabaseClosed
        self._counters["requests_queued"] += 1
        if self._max_waiting and len(self._waiting) >= self._max_waiting:
            self._counters["requests_errors"] += 1
            raise NoConnection
        waiter = _Waiter(self._loop.create_future(), until)
        self._waiting.append(waiter)
        self._connect_missing()
        self.watch(until)
        began = monotonic()
        try:
            return await waiter.lent
        except BaseException:  # cancelled, closed, or refused
            lent = waiter.lent
            if lent.done() and not lent.cancelled() and lent.exception() is None:
                self._free(lent.result())  # it was lent in this very turn
            elif waiter in self._waiting:
                self._waiting.remove(waiter)
            raise
        finally:
            self._counters["requests_wait_ms"] += round((monotonic() - began) * 1000)

    def _free(self, connection: LoopConnection) -> None:
        """Lend a connection to the operation that has waited longest, or keep it."""
        if self.closed:
            connection.hang_up()
            return
        while self._waiting:
            lent = self._waiting.popleft().lent
            if not lent.done():
                lent.set_result(connection)
                return
        self._idle.append(connection)

    def _forget(self, connection: LoopConnection) -> None:
        """A connection was hung up: make another one if it is missed."""
        self._open.discard(connection)
        if connection in self._idle:
            # The next operation replaces it: to connect would keep a suspended database awake.
            self._idle.remove(connection)
            self._counters["connections_lost"] += 1
        elif not self._loop.is_closed():
            self._connect_missing()

    def _connect_missing(self) -> None:
        """Make a connection for each operation that waits, and those that are always kept."""
        if not self.closed:
            self._connect_more(max(len(self._waiting), self._min_size - len(self._open)))

    def _connect_more(self, wanted: int) -> None:
        """Have as many connections made as are wanted, and one at a time while that fails."""
        if self._failure is not None:
            wanted = min(wanted, 1)
        room = self._max_size - len(self._open) - len(self._connecting)
        for _ in range(min(wanted - len(self._connecting), room)):
            task = self._loop.create_task(self._make_one())
            self._connecting.add(task)
            task.add_done_callback(self._made_one)

    def _made_one(self, task: asyncio.Task[None]) -> None:
        self._connecting.discard(task)
        # After a failure only for operations that wait: one may have come since the last attempt.
        if self._failure is None or self._waiting:
            self._connect_missing()

    async def _make_one(self) -> None:
        """Connect, and try again as long as an operation waits."""
        pause = _FIRST_PAUSE
        while not self.closed:
            began = monotonic()
            try:
                connection = await self._connect()
                made = LoopConnection(connection, free=self._free, gone=self._forget)
            except Exception as error:
                if self._failure is None:  # one line for each outage
                    _log.warning("error connecting to the database: %s", error)
                self._failure = error.with_traceback(None)
                self._counters["connections_errors"] += 1
                if not self._open and (refusal := login_refusal(error)):
                    self._refuse_login(refusal, began)
                    if not self._waiting:
                        return
            else:
                self._failure = None
                self._counters["connections_num"] += 1
                self._open.add(made)
                self._free(made)
                return
            await asyncio.sleep(pause)
            if not self._waiting or len(self._connecting) > 1:
                return
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _schedule_sweep(self, at: float) -> None:
        if self._sweeper is not None:
            self._sweeper.cancel()
        self._sweep_at = at
        self._sweeper = self._loop.call_later(max(0.0, at - monotonic()), self._sweep)

    def _sweep(self) -> None:
        """End what is late, and come back in time for the next deadline."""
        now = monotonic()
        next_at = now + _SWEEP_SECONDS
        for connection in list(self._open):
            deadline = connection.expire(now)
            if deadline is not None:
                next_at = min(next_at, deadline)
        for waiter in list(self._waiting):
            if waiter.until <= now:
                self._waiting.remove(waiter)
                self._counters["requests_errors"] += 1
                late = NoConnection()
                late.__cause__ = self._failure
                self._refuse(waiter, late)
            else:
                next_at = min(next_at, waiter.until)
        if now >= self._shrink_at:
            self._shrink(now)
        if self._open or not self.closed:
            self._schedule_sweep(next_at)

    def _shrink(self, now: float) -> None:
        """Close a connection that was idle at every moment since the last time."""
        surplus = min(self._fewest_idle, len(self._idle), len(self._open) - self._min_size)
        self._shrink_at = now + _SHRINK_INTERVAL
        self._fewest_idle = len(self._idle)
        if surplus > 0:
            self._idle.popleft().hang_up()

    def _refuse_login(self, refusal: str, began: float) -> None:
        """No attempt can succeed, and there is no connection that may be given back.

        Who has come after the attempt began waits for the next one.
        """
        while self._waiting and self._waiting[0].since <= began:
            error = LoginRefused(refusal)
            error.__cause__ = self._failure
            self._refuse(self._waiting.popleft(), error)

    def _refuse(self, waiter: _Waiter, error: Exception) -> None:
        if not waiter.lent.done():
            waiter.lent.set_exception(error)


_COUNTERS = (
    "requests_queued",
    "requests_wait_ms",
    "requests_errors",
    "connections_num",
    "connections_errors",
    "connections_lost",
)
