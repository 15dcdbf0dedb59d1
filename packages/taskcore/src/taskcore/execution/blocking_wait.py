"""How the blocking driver waits for its socket: as psycopg does, with a generator of ours."""

from __future__ import annotations

from collections.abc import Generator
from time import monotonic

import psycopg
from psycopg import waiting
from psycopg.abc import PQGen
from psycopg.waiting import Ready, Wait

from taskcore.errors import ConnectionLost, DeadlineExceeded

from .op import Row
from .wire import Batch, Exchange

# A wait for the socket ends this often, in seconds, to compare the clock with the deadline.
_INTERVAL = 0.25


def wait_for_part(exchange: Exchange, deadline: float) -> list[Row] | Batch:
    """Return the rows of an exchange, or the next batch of them."""
    interval = max(0.0, min(_INTERVAL, deadline - monotonic()))
    try:
        return waiting.wait(_part(exchange, deadline), exchange.connection.pgconn.socket, interval)
    except psycopg.OperationalError as error:  # the wait itself, on a socket that is gone
        raise ConnectionLost(outcome_unknown=exchange.query.statement.writes) from error


def _part(exchange: Exchange, deadline: float) -> PQGen[list[Row] | Batch]:
    pgconn = exchange.connection.pgconn
    try:
        while pgconn.flush():
            yield from _wait(Wait.RW, deadline)
            pgconn.consume_input()
        while (part := exchange.receive()) is False:
            yield from _wait(Wait.R, deadline)
            pgconn.consume_input()
    except psycopg.OperationalError as error:
        pgconn.finish()
        return exchange.rows(error)
    except BaseException as error:
        # The deadline, or Ctrl-C. psycopg's own cancel would wait for the server.
        pgconn.finish()
        if isinstance(error, DeadlineExceeded):
            error.outcome_unknown = exchange.query.statement.writes
        raise
    return part if isinstance(part, Batch) else exchange.rows()


def _wait(what: Wait, deadline: float) -> Generator[Wait, Ready | int, None]:
    if monotonic() >= deadline:
        raise DeadlineExceeded
    yield what
