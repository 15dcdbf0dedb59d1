"""What happens between an operation and its connections, decided once for both drivers.

A driver answers two needs, `Checkout` and `Talk`, by blocking or by awaiting, and throws what went
wrong back in. Everything else is decided here: the deadline, what is tried again and what is not.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from time import monotonic
from typing import TypeAlias, TypeVar, cast

import psycopg
from psycopg.abc import PQGen

from .effects import Op, Query, Row
from .errors import ConnectionLost, TaskcoreError
from .wire import AnyConnection, exchange

R = TypeVar("R")
T = TypeVar("T")

# The server is given a little less than what is left of the deadline, so that a slow statement
# ends with an error of its own and not with a closed connection.
_GRACE = 0.9
_INTERVAL = 0.25


@dataclass(frozen=True, slots=True)
class Terms:
    """How long things may take, in seconds, and whether statements are prepared."""

    timeout: float
    pool_timeout: float
    statement_timeout: float
    prepare: bool

    def within(self, timeout: float | None) -> Terms:
        """The same with another deadline."""
        return self if timeout is None else replace(self, timeout=timeout)


@dataclass(frozen=True, slots=True)
class Checkout:
    """A live connection is needed; the one before it, if any, is done with."""

    deadline: float


@dataclass(frozen=True, slots=True)
class Talk:
    """An exchange with the server is to be waited for, with a look at the clock in between."""

    exchange: PQGen[list[Row]]
    socket: int
    interval: float


Need: TypeAlias = Checkout | Talk
Answer: TypeAlias = AnyConnection | list[Row]


def conversation(op: Op[R, T], terms: Terms) -> Generator[Need, Answer, R]:
    """One run of an operation."""
    deadline = monotonic() + terms.timeout
    connection: AnyConnection | None = None
    steps = op.start()
    try:
        query = next(steps)
        while True:
            try:
                connection, found = yield from _ask(connection, op.owner, query, deadline, terms)
            except TaskcoreError as error:
                query = steps.throw(error)
            else:
                query = steps.send(found)
    except StopIteration as done:
        result: R = done.value
        return result
    finally:
        steps.close()


def _ask(
    connection: AnyConnection | None, owner: str, query: Query, deadline: float, terms: Terms
) -> Generator[Need, Answer, tuple[AnyConnection, list[Row]]]:
    """The rows of a query, which is sent a second time where that can do no harm."""
    repeated = False
    while True:
        if connection is None or connection.closed:
            connection = cast(
                AnyConnection, (yield Checkout(min(deadline, monotonic() + terms.pool_timeout)))
            )
        talk = exchange(
            connection,
            owner,
            query,
            deadline=deadline,
            statement_timeout=min(terms.statement_timeout, (deadline - monotonic()) * _GRACE),
            prepare=terms.prepare,
        )
        try:
            interval = max(0.0, min(_INTERVAL, deadline - monotonic()))
            found = yield Talk(talk, connection.pgconn.socket, interval)
            return connection, cast("list[Row]", found)
        except psycopg.OperationalError as error:  # the wait itself, on a socket that is gone
            raise ConnectionLost(outcome_unknown=query.statement.writes) from error
        except ConnectionLost as lost:
            harmless = query.statement.repeatable or not lost.outcome_unknown
            if repeated or not harmless:
                raise
            repeated = True
        finally:
            talk.close()
