"""One run of an operation: its deadline, what is repeated and what is not, for both drivers.

`run` is a generator that yields what it needs, an answer from the database or a sink that takes a
batch. A driver meets the need by blocking or by awaiting, and throws what went wrong back in.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any, TypeAlias, cast

from taskcore.errors import (
    ConnectionLost,
    DatabaseClosed,
    DatabaseNotReady,
    DatabaseUnavailable,
    TaskcoreError,
)
from taskcore.ownership import start

from .connection import AnyConnection
from .op import Op, Query, Row, Sink
from .server_state import ServerState
from .wire import Batch, Exchange, StatementShared

# The server's statement timeout is a little less than what is left of the deadline, so that a slow
# statement ends with an error of its own and not with a closed connection.
_SERVER_SHARE = 0.9


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


class Ask:
    """The answer to a query is needed, on any connection: its rows, or the next batch of them."""

    __slots__ = ("_limits", "deadline", "in_batches", "owner", "prepare", "query", "wait_until")

    def __init__(self, op: Op[Any], query: Query, deadline: float, limits: Limits) -> None:
        self.owner = op.owner
        self.query = query
        self.in_batches = op.sink is not None
        self.deadline = deadline
        # For a connection, at the most.
        self.wait_until = min(deadline, monotonic() + limits.pool_timeout)
        self.prepare = limits.server.prepare
        self._limits = limits

    def send(self, connection: AnyConnection) -> Exchange:
        """Queue the messages on a connection."""
        exchange = Exchange(connection, self.owner, self.query, in_batches=self.in_batches)
        left = (self.deadline - monotonic()) * _SERVER_SHARE
        exchange.send(min(self._limits.statement_timeout, left), prepare=self.prepare)
        return exchange


class TakeBatch:
    """The sink has to take a batch of rows; the same `Ask` is yielded again for the rest."""

    __slots__ = ("batch", "deadline", "sink")

    def __init__(self, sink: Sink, batch: Batch, deadline: float) -> None:
        self.sink = sink
        self.batch = batch
        self.deadline = deadline


Need: TypeAlias = Ask | TakeBatch
Answer: TypeAlias = list[Row] | Batch | None


def run(op: Op[Any], limits: Limits) -> Generator[Need, Answer, Any]:
    """Run an operation once; what it returns is still to be read by `op.read`."""
    deadline = monotonic() + limits.timeout
    steps = start(op, limits.server)
    lost: list[ConnectionLost] = []
    try:
        query = next(steps)
        while True:
            try:
                found = yield from _ask(op, query, deadline, limits, lost)
            except TaskcoreError as error:
                query = steps.throw(error)
            else:
                query = steps.send(found)
    except StopIteration as done:
        return done.value
    except (DatabaseUnavailable, DatabaseNotReady, DatabaseClosed) as error:
        # That the repetition of a write failed says nothing of the first time.
        if not any(each.outcome_unknown for each in lost):
            raise
        if not isinstance(error, DatabaseUnavailable):
            raise ConnectionLost(outcome_unknown=True) from error
        error.outcome_unknown = True
        raise
    finally:
        steps.close()


def _ask(
    op: Op[Any], query: Query, deadline: float, limits: Limits, lost_before: list[ConnectionLost]
) -> Generator[Need, Answer, list[Row]]:
    """Return the rows of a query, which is sent a second time where that can do no harm.

    What was lost the first time is added to `lost_before`.
    """
    repeated = False
    while True:
        ask = Ask(op, query, deadline, limits)
        try:
            answer = yield ask
            while op.sink is not None and isinstance(answer, Batch):
                yield TakeBatch(op.sink, answer, deadline)
                answer = yield ask
        except StatementShared:
            if not ask.prepare:
                raise
            limits.server.stop_preparing()  # nothing ran, and this cannot happen twice
        except ConnectionLost as lost:
            harmless = query.statement.repeatable or not lost.outcome_unknown
            if repeated or not harmless:
                raise
            repeated = True
            lost_before.append(lost)
            if op.sink is not None:
                op.sink.restart()
        else:
            return cast("list[Row]", answer)
