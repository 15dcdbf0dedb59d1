"""A connection of a driver's own: how it is made, and what is kept with it."""

from __future__ import annotations

import select
from time import monotonic
from typing import Any, Self, TypeAlias

import psycopg
from psycopg import abc, pq, waiting
from psycopg.abc import PQGen, PQGenConn
from psycopg.adapt import Transformer
from psycopg.waiting import Wait

from taskcore.citus import IS_DISTRIBUTED
from taskcore.connections import refuses_options, with_search_path

from . import fork
from .op import Row

# Seconds after which a connection is replaced.
_LIFETIME = 3600.0


class _State:
    """What is kept with a connection: its prepared statements, and how values are adapted."""

    pgconn: pq.abc.PGconn

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.prepared: set[bytes] = set()
        # True from the first byte of an exchange until all of its answer is accounted for. One that
        # was interrupted stays in it, and its connection is not used again.
        self.in_exchange = False
        # Whether the owner has to be bound on other nodes too, in a transaction block.
        self.distributed = False
        self.expires_at = monotonic() + _LIFETIME
        fork.remember_socket(self.pgconn.socket)
        # Made without a connection, it reads times as UTC whatever the session's TimeZone is.
        self.transformer: abc.Transformer = Transformer()

    @classmethod
    def _connect_gen(cls, conninfo: str = "", **options: Any) -> PQGenConn[Self]:
        """Connect as psycopg does, with the lock for forks held during each step."""
        steps = super()._connect_gen(conninfo, **options)  # type: ignore[misc]
        ready: Any = None
        while True:
            with fork.connecting:
                try:
                    wait = steps.send(ready)
                except StopIteration as done:
                    made: Self = done.value
                    return made
            ready = yield wait


class Connection(_State, psycopg.Connection[Row]):
    """A connection that is waited for by blocking."""

    # Without this attribute, which pools set, psycopg warns of a connection that is deleted while
    # it is open.
    _pool = None

    @classmethod
    def connect(  # type: ignore[override]
        cls, conninfo: str = "", *, start_up_options: bool = False, **options: Any
    ) -> Self:
        """Connect with the search_path; without, if a pooler refuses start-up options."""
        connection = cls._connect(conninfo, start_up_options, options)
        try:
            pgconn, timeout = connection.pgconn, options["connect_timeout"]
            look = _look(pgconn, monotonic() + timeout)
            connection.distributed = waiting.wait(look, pgconn.socket, timeout)
        except BaseException:
            connection.pgconn.finish()
            raise
        return connection

    @classmethod
    def _connect(cls, conninfo: str, start_up_options: bool, options: dict[str, Any]) -> Self:
        if start_up_options:
            try:
                return super().connect(with_search_path(conninfo), **options)
            except psycopg.OperationalError as error:
                if not refuses_options(error):
                    raise
        return super().connect(conninfo, **options)


class AsyncConnection(_State, psycopg.AsyncConnection[Row]):
    """A connection that is made by awaiting; `LoopConnection` asks on it."""

    _pool = None

    @classmethod
    async def connect(  # type: ignore[override]
        cls, conninfo: str = "", *, start_up_options: bool = False, **options: Any
    ) -> Self:
        connection = await cls._connect(conninfo, start_up_options, options)
        try:
            pgconn, timeout = connection.pgconn, options["connect_timeout"]
            look = _look(pgconn, monotonic() + timeout)
            connection.distributed = await waiting.wait_async(look, pgconn.socket, timeout)
        except BaseException:
            connection.pgconn.finish()
            raise
        return connection

    @classmethod
    async def _connect(cls, conninfo: str, start_up_options: bool, options: dict[str, Any]) -> Self:
        if start_up_options:
            try:
                return await super().connect(with_search_path(conninfo), **options)
            except psycopg.OperationalError as error:
                if not refuses_options(error):
                    raise
        return await super().connect(conninfo, **options)


AnyConnection: TypeAlias = Connection | AsyncConnection


def is_usable(connection: Connection) -> bool:
    """Whether an idle connection is open and young, found out without a round trip.

    No answer is due on it, so a socket that is readable has been closed by the server.
    """
    if connection.closed or connection.in_exchange or connection.expires_at <= monotonic():
        return False
    poll = select.poll()
    poll.register(connection.pgconn.socket, select.POLLIN)
    return not poll.poll(0)


def _look(pgconn: pq.abc.PGconn, deadline: float) -> PQGen[bool]:
    """Ask on a new connection whether the tasks are spread over several nodes."""
    pgconn.send_query(f"SELECT {IS_DISTRIBUTED}".encode())
    while pgconn.flush():
        yield Wait.RW
        pgconn.consume_input()
    distributed = False
    while True:
        while pgconn.is_busy():
            if monotonic() >= deadline:
                raise psycopg.OperationalError("the server did not answer in time")
            yield Wait.R
            pgconn.consume_input()
        result = pgconn.get_result()
        if result is None:
            return distributed
        if result.status != pq.ExecStatus.TUPLES_OK:
            raise psycopg.OperationalError(result.get_error_message())
        distributed = result.get_value(0, 0) == b"t"
