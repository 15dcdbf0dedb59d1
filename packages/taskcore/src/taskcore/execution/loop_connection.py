"""A connection that stays registered with the event loop for as long as it lives.

The loop calls it when its socket is readable. It takes what has arrived, and when an answer is
complete it resolves one future and is free for the next operation at once: no task is woken, and
nothing is registered, for each wait.

What is registered is a duplicate of the socket's descriptor. It is this object's until it closes
it, so a connection that ended in any way never watches another socket that got its number. A
duplicate that is left at the end of a stream would call back without end, so a connection that is
found broken is hung up there and then.
"""

from __future__ import annotations

import asyncio
import os
import select
from collections.abc import Callable
from time import monotonic
from typing import TypeAlias

import psycopg
from psycopg import pq

from taskcore.errors import ConnectionLost, DeadlineExceeded

from . import fork
from .connection import AsyncConnection
from .op import Row
from .run import Ask
from .wire import Batch, Exchange

Answer: TypeAlias = "asyncio.Future[list[Row] | Batch]"

_BAD = pq.ConnStatus.BAD
_SEVERITY = pq.DiagnosticField.SEVERITY_NONLOCALIZED
_ERRORS = (b"ERROR", b"FATAL", b"PANIC")


class LoopConnection:
    """One exchange at a time. `hang_up` is the only way out."""

    _descriptor: int | None = None

    def __init__(
        self,
        connection: AsyncConnection,
        *,
        free: Callable[[LoopConnection], None],
        gone: Callable[[LoopConnection], None],
    ) -> None:
        """`free` is called when an answer is complete, `gone` once when this is hung up."""
        self._loop = asyncio.get_running_loop()
        self._connection = connection
        self._pgconn = connection.pgconn
        self._free = free
        self._gone = gone
        self._ask: Ask | None = None
        self._exchange: Exchange | None = None
        self._answer: Answer | None = None
        self._writing = self._paused = self._ended = False
        self._tls = self._pgconn.ssl_in_use
        self._pgconn.notice_handler = self._noticed
        self._descriptor = os.dup(self._pgconn.socket)
        fork.remember_socket(self._descriptor)
        self._poll = select.poll()
        self._poll.register(self._descriptor, select.POLLIN)
        self._loop.add_reader(self._descriptor, self._readable)

    def __del__(self) -> None:
        if self._descriptor is not None:  # its loop was closed, and nothing else
            os.close(self._descriptor)

    def is_usable(self) -> bool:
        """Whether it is open and young, found out without a round trip."""
        if self._descriptor is not None and self._poll.poll(0):
            self._readable()
        return self._descriptor is not None and monotonic() < self._connection.expires_at

    def ask(self, ask: Ask) -> Answer:
        """Send a query; the future gets its rows or the first batch of them, or the error."""
        answer = self._answer = self._loop.create_future()
        try:
            self._exchange = ask.send(self._connection)
            self._ask = ask
            if self._pgconn.flush():
                self._write()
        except psycopg.OperationalError as error:
            self._lost(error)
        except BaseException:
            self.hang_up()
            raise
        return answer

    def next_batch(self) -> Answer:
        """Read on after a batch; until then, nothing was read."""
        answer = self._answer = self._loop.create_future()
        if self._descriptor is None:
            answer.set_exception(ConnectionLost())
        else:
            self._paused = False
            self._loop.add_reader(self._descriptor, self._readable)
            self._receive()
        return answer

    def abandon(self, answer: Answer) -> None:
        """No operation waits for this answer any more: unless it is complete, hang up."""
        if self._answer is answer:
            self.hang_up()

    def expire(self, now: float) -> float | None:
        """End an exchange whose deadline has passed; return the deadline of one that goes on."""
        ask = self._ask
        if ask is None or self._paused:
            return None
        # A late loop is no late answer; and of the rest of an encrypted record the socket says
        # nothing.
        self._readable()
        if self._ask is not ask:
            return None
        if now < ask.deadline:
            return ask.deadline
        late = DeadlineExceeded()
        late.outcome_unknown = ask.query.statement.writes
        self._fail(late)
        return None

    def hang_up(self) -> None:
        """Close; an operation that waits for an answer is not told."""
        if self._descriptor is None:
            return
        descriptor, self._descriptor = self._descriptor, None
        if not self._loop.is_closed():
            self._loop.remove_reader(descriptor)
            if self._writing:
                self._loop.remove_writer(descriptor)
        os.close(descriptor)
        self._ask = self._exchange = self._answer = None
        self._pgconn.notice_handler = None
        self._pgconn.finish()
        self._gone(self)

    def _noticed(self, notice: pq.abc.PGresult) -> None:
        # While no answer is due, libpq reports an error of the server's as a notice.
        if notice.error_field(_SEVERITY) in _ERRORS:
            self._ended = True

    def _write(self) -> None:
        if not self._writing and self._descriptor is not None:
            self._writing = True
            self._loop.add_writer(self._descriptor, self._writable)

    def _writable(self) -> None:
        try:
            if not self._pgconn.flush() and self._descriptor is not None:
                self._writing = False
                self._loop.remove_writer(self._descriptor)
        except psycopg.OperationalError as error:
            self._lost(error)

    def _readable(self) -> None:
        try:
            self._pgconn.consume_input()
        except psycopg.OperationalError as error:
            self._lost(error)
            return
        if self._writing:  # libpq may have to read before it can write on
            self._writable()
        if self._exchange is not None:
            self._receive()
            return
        self._pgconn.is_busy()  # libpq handles what nothing waits for: a notice, a new setting
        if self._ended or self._pgconn.status == _BAD:
            self.hang_up()

    def _receive(self) -> None:
        exchange = self._exchange
        if exchange is None:
            return
        try:
            part = exchange.receive()
            # libpq reads at least 8 KiB at a time, and a TLS record has up to 16. If the socket has
            # more, it will call again; of the rest of a record it says nothing.
            if part is False and self._tls and not self._poll.poll(0):
                self._pgconn.consume_input()
                part = exchange.receive()
        except psycopg.OperationalError as error:
            self._lost(error)
        except Exception as error:
            self._fail(error)
        else:
            if part is True:
                self._complete(exchange)
            elif part is not False:
                self._pause(part)

    def _pause(self, batch: Batch) -> None:
        """Hand over a batch, and read no further until the next one is asked for."""
        if self._answer is not None and not self._answer.done() and self._descriptor is not None:
            self._paused = True
            self._loop.remove_reader(self._descriptor)
            self._answer.set_result(batch)
        else:
            self.hang_up()

    def _complete(self, exchange: Exchange) -> None:
        answer = self._answer
        self._ask = self._exchange = self._answer = None
        if answer is not None and not answer.done():
            try:
                answer.set_result(exchange.rows())
            except Exception as error:
                answer.set_exception(error)
        if self._connection.in_exchange or self._pgconn.status == _BAD:
            self.hang_up()
        else:
            self._free(self)

    def _lost(self, error: psycopg.OperationalError) -> None:
        """The connection broke: what the server has said before counts, the rest is lost."""
        exchange = self._exchange
        if exchange is None:
            self.hang_up()
            return
        try:
            exchange.rows(error)
        except Exception as lost:
            self._fail(lost)

    def _fail(self, error: Exception) -> None:
        answer = self._answer
        self.hang_up()
        if answer is not None and not answer.done():
            answer.set_exception(error)
