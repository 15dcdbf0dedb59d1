"""The two drivers: a pool of connections, and the loop that runs operations on it.

`Database` blocks and may be shared by threads; `AsyncDatabase` awaits, on the event loop that it
was opened on. They differ only in how they wait: what they wait for is decided in `run`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from functools import partial
from threading import get_ident
from time import monotonic
from typing import Any, Self, TypeVar

from taskcore.errors import DatabaseClosed, DeadlineExceeded, InvalidInput
from taskcore.urls import is_pooled, libpq_conninfo

from . import fork
from .blocking_wait import wait_for_part
from .connection import AsyncConnection, Connection
from .loop_connection import Answer, LoopConnection
from .loop_pool import LoopPool
from .observation import Observer, observed
from .op import Op
from .pool import Loan, Pool
from .run import Ask, Limits, Need, TakeBatch, run
from .server_state import ServerState

T = TypeVar("T")

# An event loop holds its tasks weakly, and a database that is left open may have no other holder.
_guards: set[asyncio.Task[None]] = set()


class _Configured:
    """The settings of both drivers."""

    def __init__(
        self,
        url: str,
        *,
        min_size: int = 1,
        max_size: int = 10,
        max_waiting: int = 0,
        timeout: float = 5.0,
        pool_timeout: float | None = None,
        statement_timeout: float | None = None,
        prepare: bool | None = None,
        observe: Observer | None = None,
    ) -> None:
        """Keep the settings; nothing is connected yet.

        `timeout` is the deadline of one operation, in seconds: the wait for a connection, the
        statements and a repetition together; within it, `pool_timeout` bounds the wait for a
        connection and `statement_timeout` each statement. `max_waiting` operations may wait for
        a connection (0: any number). `prepare` should be off behind a transaction pooler; left out,
        it is off where the host is named as Neon names its pooler, and goes off for good, with a
        warning, where statements turn out to be shared with other clients. `observe` is called at
        the beginning of each run with the operation's name, and what it returns at the end with a
        `RunRecord`; it may be set later, for the runs that begin then.
        """
        if min_size < 0 or max_size < 1 or max_size < min_size:
            raise InvalidInput("the pool needs 0 <= min_size <= max_size, and max_size >= 1")
        pool_timeout = timeout if pool_timeout is None else pool_timeout
        statement_timeout = timeout if statement_timeout is None else statement_timeout
        if min(timeout, pool_timeout, statement_timeout) <= 0:
            raise InvalidInput("timeouts must be more than 0 seconds")
        conninfo = libpq_conninfo(url)
        self.observe = observe
        if prepare is None:
            prepare = not is_pooled(conninfo)
        self.limits = Limits(
            timeout=timeout,
            pool_timeout=pool_timeout,
            statement_timeout=statement_timeout,
            server=ServerState(prepare=prepare),
        )
        self._conninfo = conninfo
        self._connect_arguments: dict[str, Any] = {
            "autocommit": True,
            "prepare_threshold": None,
            "client_encoding": "utf-8",
            "connect_timeout": max(2, round(timeout)),
            "start_up_options": prepare,
        }
        self._sizes: dict[str, Any] = {
            "min_size": min_size,
            "max_size": max_size,
            "max_waiting": max_waiting,
        }


class Database(_Configured):
    """Runs operations, blocking. In a forked child it goes on with connections of its own."""

    _pool: Pool | None = None

    def open(self) -> None:
        """Start to connect; a database that is away is no error yet."""
        if self._pool is None:
            self._pool = self._new_pool()
            fork.remember_database(self)
            self._pool.fill()

    def close(self) -> None:
        """Close the idle connections now, and the others as running operations give them back."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def is_open(self) -> bool:
        """Whether operations can run."""
        return self._pool is not None

    def stats(self) -> dict[str, int]:
        """The pool's sizes, and the number of operations that wait for a connection."""
        return self._open_pool().stats()

    def run(self, op: Op[T], *, timeout: float | None = None) -> T:
        """Run an operation, in `timeout` seconds at most if that is given."""
        pool = self._open_pool()
        flow = run(op, self.limits.within(timeout))
        if self.observe is not None:
            flow = observed(flow, op.name, self.observe)
        loan, give_back = pool.loan()
        try:
            result = self._drive(flow, pool, loan)
        finally:
            # An exception that is thrown in here comes after the first call, and so loses nothing.
            give_back()
            if pool.closed:
                pool.drain()
        return op.read(result)

    def _drive(
        self, flow: Generator[Need, Any, Any], pool: Pool, loan: Loan[Connection | None]
    ) -> Any:
        asked: Ask | None = None
        try:
            need = next(flow)
            while True:
                answer: Any
                try:
                    if isinstance(need, TakeBatch):
                        answer = need.sink.take(need.batch.rows)
                    else:
                        if need is not asked:  # otherwise it goes on after a batch
                            exchange = need.send(self._usable(pool, loan, need.wait_until))
                            asked = need
                        answer = wait_for_part(exchange, need.deadline)
                except BaseException as error:
                    need = flow.throw(error)
                else:
                    need = flow.send(answer)
        except StopIteration as done:
            return done.value
        finally:
            flow.close()
            if loan and loan[0] is not None and loan[0].in_exchange:
                loan[0].pgconn.finish()

    def _usable(self, pool: Pool, loan: Loan[Connection | None], wait_until: float) -> Connection:
        """The connection of the operation's first query, or another one if that has broken."""
        if loan and loan[0] is not None and not (loan[0].closed or loan[0].in_exchange):
            return loan[0]
        pool.discard(loan)
        return pool.take(loan, wait_until)

    def _new_pool(self) -> Pool:
        return Pool(
            partial(Connection.connect, self._conninfo, **self._connect_arguments),
            **self._sizes,
        )

    def _open_pool(self) -> Pool:
        if self._pool is None:
            raise DatabaseClosed
        return self._pool

    def _after_fork(self) -> object:
        inherited = self._pool
        if inherited is not None:
            # For an operation in the middle of which this thread has forked.
            inherited.closed = True
            self._pool = self._new_pool()
        return inherited


class AsyncDatabase(_Configured):
    """Runs operations, awaiting, on the event loop that it was opened on."""

    _pool: LoopPool | None = None
    _loop: asyncio.AbstractEventLoop | None = None
    _thread: int | None = None
    _guard: asyncio.Task[None] | None = None
    _inherited = False

    async def open(self) -> None:
        """Start to connect; a database that is away is no error yet."""
        if self._pool is not None or self._inherited:
            self._pool_of_this_loop()  # refuses another event loop, and a child process
            return
        self._loop = asyncio.get_running_loop()
        self._thread = get_ident()
        self._pool = LoopPool(
            partial(AsyncConnection.connect, self._conninfo, **self._connect_arguments),
            **self._sizes,
        )
        fork.remember_database(self)
        self._guard = self._loop.create_task(self._close_with_loop())
        _guards.add(self._guard)
        self._guard.add_done_callback(_guards.discard)
        self._pool.fill()
        await asyncio.sleep(0)  # the guard begins: cancelled before, it would do nothing

    async def close(self) -> None:
        """Close the idle connections now, and each of the others when its answer is complete."""
        if self._pool is None or self._loop is None or self._guard is None:
            return
        if self._loop.is_closed():
            self._pool.hang_up_all()
            self._pool = None
            return
        pool, guard = self._pool_of_this_loop(), self._guard
        self._pool = None
        ends_with_loop = guard is asyncio.current_task()
        if not ends_with_loop:
            guard.cancel()
        await pool.close()  # first of all, because this may be cancelled at any `await`
        if not ends_with_loop:
            await asyncio.wait([guard])

    async def _close_with_loop(self) -> None:
        """Close when the event loop ends: its end cancels this."""
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            await self.close()
            raise

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def is_open(self) -> bool:
        """Whether operations can run."""
        return self._pool is not None

    def stats(self) -> dict[str, int]:
        """The pool's sizes and counters."""
        return self._open_pool().stats()

    async def run(self, op: Op[T], *, timeout: float | None = None) -> T:  # noqa: ASYNC109
        """Run an operation, in `timeout` seconds at most if that is given."""
        pool = self._pool_of_this_loop()
        flow = run(op, self.limits.within(timeout))
        if self.observe is not None:
            flow = observed(flow, op.name, self.observe)
        asked: Ask | None = None
        future: Answer | None = None
        connection: LoopConnection | None = None
        try:
            need = next(flow)
            while True:
                answer: Any
                try:
                    if isinstance(need, TakeBatch):
                        answer = None
                        await _take(need)
                    else:
                        if need is asked and connection is not None:  # it goes on after a batch
                            future = connection.next_batch()
                        else:
                            connection = pool.take() or await pool.wait(need.wait_until)
                            future = connection.ask(need)
                            asked = need
                        pool.watch(need.deadline)
                        answer = await future
                except BaseException as error:
                    need = flow.throw(error)
                else:
                    need = flow.send(answer)
        except StopIteration as done:
            result = done.value
        finally:
            flow.close()
            if connection is not None and future is not None:
                connection.abandon(future)
        return op.read(result)

    def _open_pool(self) -> LoopPool:
        if self._inherited:
            raise DatabaseClosed(
                "this AsyncDatabase was opened before this process was forked: "
                "make and open one in the child"
            )
        if self._pool is None:
            raise DatabaseClosed
        return self._pool

    def _pool_of_this_loop(self) -> LoopPool:
        pool = self._open_pool()
        # A loop that runs in this thread is this thread's running loop. To ask for that one costs a
        # system call (Python 3.11 compares the process's id).
        if self._thread != get_ident() or self._loop is None or not self._loop.is_running():
            if self._loop is not asyncio.get_running_loop():
                raise DatabaseClosed(
                    "this AsyncDatabase was opened on another event loop: open one on each loop"
                )
            self._thread = get_ident()
        return pool

    def _after_fork(self) -> object:
        inherited = dict(vars(self))
        self._inherited = self._inherited or self._pool is not None
        self._pool = None
        return inherited


async def _take(need: TakeBatch) -> None:
    """Let the sink take a batch within the deadline: the connection is held meanwhile."""
    taken = need.sink.take(need.batch.rows)
    if taken is None:
        return
    try:
        async with asyncio.timeout(need.deadline - monotonic()):
            await taken
    except TimeoutError as error:
        raise DeadlineExceeded from error
