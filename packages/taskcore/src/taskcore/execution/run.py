"""One run of an operation: its deadline, what is repeated and what is not, for both drivers.

`run` is a generator that yields what it needs, a connection or a wait for a socket. A driver meets
the need by blocking or by awaiting, and throws what went wrong back in.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any, TypeAlias, cast

import psycopg
from psycopg.abc import PQGen

from taskcore.errors import ConnectionLost, TaskcoreError
from taskcore.ownership import start

from .op import Op, Query, Row, Sink
from .server_state import ServerState
from .wire import AnyConnection, Batch, StatementShared, exchange, until_batch

# The server's statement timeout is a little less than what is left of the deadline, so that a slow
# statement ends with an error of its own and not with a closed connection.
_SERVER_SHARE = 0.9
# A wait for the socket ends this often, in seconds, to compare the clock with the deadline.
_INTERVAL = 0.25


@dataclass(frozen=True, slots=True)
class Limits:
    """How long each thing may take, in seconds, and what is known of the server."""

    timeout: float
    pool_timeout: float
    statement_timeout: float
    server: ServerState

    def within(self, timeout: float | None) -> Limits:
        """Return the same limits with another deadline."""
        return self if timeout is None else replace(self, timeout=timeout)


@dataclass(frozen=True, slots=True)
class NeedConnection:
    """A live connection is needed; the one before it, if any, is given back."""

    deadline: float


@dataclass(frozen=True, slots=True)
class WaitForSocket:
    """The exchange has to wait for its socket; every `interval` it looks at the clock."""

    exchange: PQGen[list[Row] | Batch]
    socket: int
    interval: float


@dataclass(frozen=True, slots=True)
class TakeBatch:
    """The sink has to take a batch of rows; the rest of them is still to come."""

    sink: Sink
    batch: Batch
    deadline: float


Need: TypeAlias = NeedConnection | WaitForSocket | TakeBatch
Answer: TypeAlias = AnyConnection | list[Row] | Batch | None


def run(op: Op[Any], limits: Limits) -> Generator[Need, Answer, Any]:
    """Run an operation once; what it returns is still to be read by `op.read`."""
    deadline = monotonic() + limits.timeout
    connection: AnyConnection | None = None
    steps = start(op, limits.server)
    try:
        query = next(steps)
        while True:
            try:
                connection, found = yield from _ask(connection, op, query, deadline, limits)
            except TaskcoreError as error:
                query = steps.throw(error)
            else:
                query = steps.send(found)
    except StopIteration as done:
        return done.value
    finally:
        steps.close()


def _ask(
    connection: AnyConnection | None, op: Op[Any], query: Query, deadline: float, limits: Limits
) -> Generator[Need, Answer, tuple[AnyConnection, list[Row]]]:
    """Return the rows of a query, which is sent a second time where that can do no harm."""
    repeated = False
    while True:
        if connection is None or connection.closed:
            wait_until = min(deadline, monotonic() + limits.pool_timeout)
            connection = cast(AnyConnection, (yield NeedConnection(wait_until)))
        prepare = limits.server.prepare
        messages = exchange(
            connection,
            op.owner,
            query,
            deadline=deadline,
            statement_timeout=min(
                limits.statement_timeout, (deadline - monotonic()) * _SERVER_SHARE
            ),
            prepare=prepare,
            in_batches=op.sink is not None,
        )
        try:
            while True:
                interval = max(0.0, min(_INTERVAL, deadline - monotonic()))
                waits = (
                    cast("PQGen[list[Row]]", messages) if op.sink is None else until_batch(messages)
                )
                found = yield WaitForSocket(waits, connection.pgconn.socket, interval)
                if op.sink is None or not isinstance(found, Batch):
                    return connection, cast("list[Row]", found)
                yield TakeBatch(op.sink, found, deadline)
        except psycopg.OperationalError as error:  # the wait itself, on a socket that is gone
            raise ConnectionLost(outcome_unknown=query.statement.writes) from error
        except StatementShared:
            if not prepare:
                raise
            limits.server.stop_preparing()  # nothing ran, and this cannot happen twice
        except ConnectionLost as lost:
            harmless = query.statement.repeatable or not lost.outcome_unknown
            if repeated or not harmless:
                raise
            repeated = True
            if op.sink is not None:
                op.sink.restart()
        finally:
            messages.close()
