"""A connection of a driver's own: how it is made, and what is kept with it."""

from __future__ import annotations

import select
from time import monotonic
from typing import Any, Self, TypeAlias

import psycopg
from psycopg import abc, pq
from psycopg.adapt import Transformer

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
        self.expires_at = monotonic() + _LIFETIME
        fork.remember_socket(self.pgconn.socket)
        # Made without a connection, it reads times as UTC whatever the session's TimeZone is.
        self.transformer: abc.Transformer = Transformer()


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
