"""What a driver tells an observer of each run. Without an observer, nothing of this is used.

`observed` stands between a run and its driver. It passes on what both say, and sees which queries
go out, how long each waits for a connection, and which one is sent again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from dataclasses import dataclass
from time import monotonic
from typing import Any, Literal, TypeAlias

from taskcore.errors import DatabaseUnavailable, OperationRefused

from .connection import AnyConnection
from .run import Answer, Ask, Need
from .wire import Exchange, StatementShared

_log = logging.getLogger(__name__)

Outcome: TypeAlias = Literal["ok", "miss", "unavailable", "outcome_unknown", "cancelled", "fault"]
Retry: TypeAlias = Literal["connection_lost", "statement_shared"]


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What is known of a run of an operation at its end: no value of it, and no owner."""

    operation: str
    """The operation's name, such as get_task."""
    error: BaseException | None
    """What the run ended with, if it has no result."""
    round_trips: int
    """The number of queries that were sent, a repeated one each time. To connect is a wait."""
    retries: tuple[Retry, ...]
    """Why queries were sent again, once for each time."""
    waited: float
    """Seconds that the run waited for a connection."""
    duration: float
    """Seconds from its beginning to its end."""

    @property
    def outcome(self) -> Outcome:
        """How the run ended. `outcome_unknown` is a write that may have happened."""
        error = self.error
        if error is None:
            return "ok"
        if isinstance(error, OperationRefused):
            return "miss"
        if isinstance(error, DatabaseUnavailable):
            return "outcome_unknown" if error.outcome_unknown else "unavailable"
        return "fault" if isinstance(error, Exception) else "cancelled"


Ended: TypeAlias = Callable[[RunRecord], object]
Observer: TypeAlias = Callable[[str], Ended]
"""Is called with the operation's name when a run begins; what it returns, when the run ends."""


class _Counts:
    """What is counted while a run goes on."""

    __slots__ = ("round_trips", "waited", "waiting_since")

    def __init__(self) -> None:
        self.round_trips = 0
        self.waited = 0.0
        self.waiting_since: float | None = None

    def end_wait(self) -> None:
        if self.waiting_since is not None:
            self.waited += monotonic() - self.waiting_since
            self.waiting_since = None


class _CountedAsk(Ask):
    """An `Ask` that notes when there is a connection for it, and that it was sent."""

    __slots__ = ("_counts",)

    def __init__(self, ask: Ask, counts: _Counts) -> None:
        for name in Ask.__slots__:
            setattr(self, name, getattr(ask, name))
        self._counts = counts
        counts.waiting_since = monotonic()

    def send(self, connection: AnyConnection) -> Exchange:
        self._counts.end_wait()
        exchange = super().send(connection)
        self._counts.round_trips += 1
        return exchange


def observed(
    flow: Generator[Need, Answer, Any], operation: str, observer: Observer
) -> Generator[Need, Answer, Any]:
    """Run the flow as it is; the observer is told of its beginning and its end."""
    ended = _begin(observer, operation)
    began = monotonic()
    counts, retries = _Counts(), list[Retry]()

    def record(error: BaseException | None) -> RunRecord:
        counts.end_wait()
        return RunRecord(
            operation=operation,
            error=error,
            round_trips=counts.round_trips,
            retries=tuple(retries),
            waited=counts.waited,
            duration=monotonic() - began,
        )

    try:
        result = yield from _counted(flow, counts, retries)
    except BaseException as error:
        _end(ended, record(error))
        raise
    finally:
        flow.close()
    _end(ended, record(None))
    return result


def _counted(
    flow: Generator[Need, Answer, Any], counts: _Counts, retries: list[Retry]
) -> Generator[Need, Answer, Any]:
    asked: Ask | None = None
    try:
        need = next(flow)
        while True:
            if isinstance(need, Ask) and need is not asked:  # otherwise it goes on after a batch
                asked, counted = need, _CountedAsk(need, counts)
            try:
                answer = yield (counted if isinstance(need, Ask) else need)
            except BaseException as error:
                counts.end_wait()
                need = flow.throw(error)
                if asked is not None and isinstance(need, Ask) and need.query is asked.query:
                    shared = isinstance(error, StatementShared)
                    retries.append("statement_shared" if shared else "connection_lost")
            else:
                need = flow.send(answer)
    except StopIteration as done:
        return done.value


def _begin(observer: Observer, operation: str) -> Ended | None:
    try:
        return observer(operation)
    except Exception:
        _log.exception("the observer failed at the beginning of %s", operation)
        return None


def _end(ended: Ended | None, record: RunRecord) -> None:
    if ended is None:
        return
    try:
        ended(record)
    except Exception:
        _log.exception("the observer failed at the end of %s", record.operation)
