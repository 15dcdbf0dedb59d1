"""The two drivers: a pool of connections, and the loop that runs operations on it.

`Database` blocks and may be shared by threads; `AsyncDatabase` awaits, on the event loop that it
was opened on. They differ only in how they wait: what they wait for is decided in `run`.
"""

from __future__ import annotations

import asyncio
import select
import sys
from collections.abc import Coroutine
from time import monotonic
from typing import Any, Self, TypeVar

from psycopg import OperationalError, waiting
from psycopg_pool import (
    AsyncConnectionPool,
    ConnectionPool,
    PoolClosed,
    PoolTimeout,
    TooManyRequests,
)

from taskcore.connections import refuses_options, with_search_path
from taskcore.errors import DatabaseClosed, DeadlineExceeded, InvalidInput, NoConnection
from taskcore.urls import is_pooled, libpq_conninfo

from .op import Op
from .run import Limits, Need, NeedConnection, TakeBatch, run
from .server_state import ServerState
from .wire import AnyConnection, AsyncConnection, Connection

T = TypeVar("T")

# psycopg_pool waits longer after each failed attempt to connect, up to minutes. With this limit it
# gives up early, and `_connect_again` makes it begin anew.
_RECONNECT_TIMEOUT = 1.0


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
    ) -> None:
        """Keep the settings; nothing is connected yet.

        `timeout` is the deadline of one operation, in seconds: the wait for a connection, the
        statements and a repetition together; within it, `pool_timeout` bounds the wait for a
        connection and `statement_timeout` each statement. `max_waiting` operations may wait for
        a connection (0: any number). `prepare` should be off behind a transaction pooler; left out,
        it is off where the host is named as Neon names its pooler, and goes off for good, with a
        warning, where statements turn out to be shared with other clients.
        """
        if min_size < 0 or max_size < 1 or max_size < min_size:
            raise InvalidInput("the pool needs 0 <= min_size <= max_size, and max_size >= 1")
        pool_timeout = timeout if pool_timeout is None else pool_timeout
        statement_timeout = timeout if statement_timeout is None else statement_timeout
        if min(timeout, pool_timeout, statement_timeout) <= 0:
            raise InvalidInput("timeouts must be more than 0 seconds")
        conninfo = libpq_conninfo(url)
        if prepare is None:
            prepare = not is_pooled(conninfo)
        self.limits = Limits(
            timeout=timeout,
            pool_timeout=pool_timeout,
            statement_timeout=statement_timeout,
            server=ServerState(prepare=prepare),
        )
        self._pool_arguments: dict[str, Any] = {
            "conninfo": conninfo,
            "kwargs": {
                "autocommit": True,
                "prepare_threshold": None,
                "client_encoding": "utf-8",
                "connect_timeout": max(2, round(timeout)),
                "start_up_options": prepare,
            },
            "open": False,
            "min_size": min_size,
            "max_size": max_size,
            "max_waiting": max_waiting,
            "timeout": timeout,
            "reconnect_timeout": _RECONNECT_TIMEOUT,
        }


class _Connection(Connection):
    @classmethod
    def connect(  # type: ignore[override]
        cls, conninfo: str = "", *, start_up_options: bool = False, **options: Any
    ) -> Self:
        """Connect with the search_path; without, if a pooler refuses start-up options."""
        if start_up_options:
            try:
                return super().connect(with_search_path(conninfo), **options)
            except OperationalError as error:
                if not refuses_options(error):
                    raise
        return super().connect(conninfo, **options)


class _AsyncConnection(AsyncConnection):
    @classmethod
    async def connect(  # type: ignore[override]
        cls, conninfo: str = "", *, start_up_options: bool = False, **options: Any
    ) -> Self:
        if start_up_options:
            try:
                return await super().connect(with_search_path(conninfo), **options)
            except OperationalError as error:
                if not refuses_options(error):
                    raise
        return await super().connect(conninfo, **options)


class Database(_Configured):
    """Runs operations, blocking."""

    _pool: ConnectionPool[Connection] | None = None

    def open(self) -> None:
        """Start to connect; a database that is away is no error yet."""
        if self._pool is not None:
            return
        self._pool = ConnectionPool(
            connection_class=_Connection, reconnect_failed=_connect_again, **self._pool_arguments
        )
        self._pool.open()

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
        return self._pool is not None

    def stats(self) -> dict[str, int]:
        """The pool's counters."""
        return self._open_pool().get_stats()

    def run(self, op: Op[T], *, timeout: float | None = None) -> T:
        """Run an operation, in `timeout` seconds at most if that is given."""
        pool = self._open_pool()
        connection: Connection | None = None
        flow = run(op, self.limits.within(timeout))
        try:
            need: Need = next(flow)
            while True:
                answer: Any
                try:
                    if isinstance(need, NeedConnection):
                        if connection is not None:
                            pool.putconn(connection)
                            connection = None
                        connection = answer = self._checkout(pool, need.deadline)
                    elif isinstance(need, TakeBatch):
                        answer = need.sink.take(need.batch.rows)
                    else:
                        answer = waiting.wait(need.exchange, need.socket, need.interval)
                except BaseException as error:
                    need = flow.throw(error)
                else:
                    need = flow.send(answer)
        except StopIteration as done:
            result = done.value
        finally:
            flow.close()
            if connection is not None:
                pool.putconn(connection)
        return op.read(result)

    def _open_pool(self) -> ConnectionPool[Connection]:
        if self._pool is None:
            raise DatabaseClosed
        return self._pool

    def _checkout(self, pool: ConnectionPool[Connection], deadline: float) -> Connection:
        while True:
            try:
                connection = pool.getconn(timeout=deadline - monotonic())
            except (PoolTimeout, TooManyRequests) as error:
                raise NoConnection from error
            except PoolClosed as error:
                raise DatabaseClosed from error
            if _is_alive(connection):
                return connection
            connection.pgconn.finish()
            pool.putconn(connection)


class AsyncDatabase(_Configured):
    """Runs operations, awaiting."""

    _pool: AsyncConnectionPool[AsyncConnection] | None = None

    async def open(self) -> None:
        """Start to connect; a database that is away is no error yet."""
        if self._pool is not None:
            return
        self._returning: set[asyncio.Task[None]] = set()
        self._pool = AsyncConnectionPool(
            connection_class=_AsyncConnection,
            reconnect_failed=_connect_again_async,
            **self._pool_arguments,
        )
        await self._pool.open()

    async def close(self) -> None:
        """Close the idle connections now, and the others as running operations give them back."""
        if self._pool is not None:
            pool, self._pool = self._pool, None
            await asyncio.gather(*self._returning)
            await pool.close()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def is_open(self) -> bool:
        return self._pool is not None

    def stats(self) -> dict[str, int]:
        """The pool's counters."""
        return self._open_pool().get_stats()

    async def run(self, op: Op[T], *, timeout: float | None = None) -> T:  # noqa: ASYNC109
        """Run an operation, in `timeout` seconds at most if that is given."""
        pool = self._open_pool()
        connection: AsyncConnection | None = None
        flow = run(op, self.limits.within(timeout))
        try:
            need: Need = next(flow)
            while True:
                answer: Any
                try:
                    if isinstance(need, NeedConnection):
                        if connection is not None:
                            self._put_back(pool, connection)
                            connection = None
                        connection = answer = await self._checkout(pool, need.deadline)
                    elif isinstance(need, TakeBatch):
                        answer = None
                        await _take(need)
                    else:
                        answer = await waiting.wait_async(need.exchange, need.socket, need.interval)
                except BaseException as error:
                    need = flow.throw(error)
                else:
                    need = flow.send(answer)
        except StopIteration as done:
            result = done.value
        finally:
            flow.close()
            if connection is not None:
                self._put_back(pool, connection)
        return op.read(result)

    def _open_pool(self) -> AsyncConnectionPool[AsyncConnection]:
        if self._pool is None:
            raise DatabaseClosed
        return self._pool

    async def _checkout(
        self, pool: AsyncConnectionPool[AsyncConnection], deadline: float
    ) -> AsyncConnection:
        while True:
            try:
                connection = await pool.getconn(timeout=deadline - monotonic())
            except (PoolTimeout, TooManyRequests) as error:
                raise NoConnection from error
            except PoolClosed as error:
                raise DatabaseClosed from error
            if _is_alive(connection):
                return connection
            connection.pgconn.finish()
            self._put_back(pool, connection)

    def _put_back(
        self, pool: AsyncConnectionPool[AsyncConnection], connection: AsyncConnection
    ) -> None:
        # In a task of its own, so that it is never cancelled: a cancelled return would lose the
        # connection and its place in the pool.
        task = _start(pool.putconn(connection))
        if not task.done():
            self._returning.add(task)
            task.add_done_callback(self._returning.discard)


if sys.version_info >= (3, 12):

    def _start(coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a coroutine up to its first wait; most returns to the pool have none."""
        return asyncio.Task(coroutine, loop=asyncio.get_running_loop(), eager_start=True)

else:

    def _start(coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(coroutine)


def _connect_again(pool: ConnectionPool[Any]) -> None:
    # For the operations that wait: otherwise the pool tries again only when a new one comes.
    pool.check()


async def _connect_again_async(pool: AsyncConnectionPool[Any]) -> None:
    await pool.check()


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


def _is_alive(connection: AnyConnection) -> bool:
    """Whether an idle connection is still open, found out without a round trip.

    No answer is due on it, so a socket that is readable has been closed by the server.
    """
    pgconn = connection.pgconn
    if connection.closed:
        return False
    poll = select.poll()
    poll.register(pgconn.socket, select.POLLIN)
    return not poll.poll(0)
