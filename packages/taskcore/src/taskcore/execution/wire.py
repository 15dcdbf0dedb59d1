"""One query and the binding of its owner, in one round trip on a libpq connection.

Both statements go out in one pipeline and, up to its Sync, are one implicit transaction: what the
first sets (the tenant role, the owner that row-level security compares with, the time limit)
holds for the second and ends with it, also when a statement fails.

It is written as psycopg's own generators are, which yield when they would block, one layer below
its cursors: through those the same two statements cost half as much CPU again.
"""

from __future__ import annotations

import select
from collections.abc import Callable, Generator, Mapping
from functools import partial
from time import monotonic
from typing import Any, NamedTuple, TypeAlias

import psycopg
from psycopg import abc, errors, pq
from psycopg.abc import PQGen
from psycopg.adapt import PyFormat, Transformer
from psycopg.waiting import Ready, Wait
from sqlalchemy import text

from taskcore.errors import ConnectionLost, DeadlineExceeded, TaskcoreError
from taskcore.tenancy import OWNER_SETTING, SEARCH_PATH, TENANT_ROLE

from . import fork
from .op import Query, Row, Statement
from .owner_check import isolation_broken, rows_are_owners
from .sqlstates import (
    error_for,
    is_invalidated_statement,
    is_read_only,
    is_shared_statement,
    message_may_quote_values,
)

# Until the search_path is set, every name in the statement says its schema.
BIND_OWNER = Statement(
    text(f"""
        SELECT pg_catalog.set_config('search_path', '{SEARCH_PATH}', true),
               pg_catalog.set_config('role', '{TENANT_ROLE}', true),
               pg_catalog.set_config('{OWNER_SETTING}', CAST(:owner AS pg_catalog.text), true),
               pg_catalog.set_config('statement_timeout', CAST(:timeout AS pg_catalog.text), true)
    """)
)

# Its answer repeats the owner in this column.
_BOUND_OWNER = 2

# A list of this many rows is one batch, and one result of libpq.
BATCH = 128
# Before version 17, libpq gives a result in parts of one row only.
_CHUNKED = psycopg.capabilities.has_stream_chunked()
# Seconds after which a connection is replaced.
_LIFETIME = 3600.0

_OK = (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK)
_PART = (pq.ExecStatus.TUPLES_CHUNK, pq.ExecStatus.SINGLE_TUPLE)
_SYNC = pq.ExecStatus.PIPELINE_SYNC
_BAD = pq.ConnStatus.BAD
_BINARY = pq.Format.BINARY
_SQLSTATE = pq.DiagnosticField.SQLSTATE
_MESSAGE = pq.DiagnosticField.MESSAGE_PRIMARY
_SOURCE_FUNCTION = pq.DiagnosticField.SOURCE_FUNCTION


class StatementShared(ConnectionLost):
    """Prepared statements do not stay with the connection; nothing ran."""


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
    """A blocking connection of the pool."""

    # Without this attribute, which psycopg_pool sets, psycopg warns of a connection that is deleted
    # while it is open.
    _pool = None


class AsyncConnection(_State, psycopg.AsyncConnection[Row]):
    """An awaiting connection of the pool."""


AnyConnection: TypeAlias = Connection | AsyncConnection


class Batch(NamedTuple):
    """Rows of a result of which more are to come."""

    rows: list[Row]


Exchange: TypeAlias = Generator[Wait | Batch, Ready | int, list[Row]]
"""As psycopg's generators, and with `in_batches` it yields the batches of rows too."""


def is_usable(connection: AnyConnection) -> bool:
    """Whether an idle connection is open and young, found out without a round trip.

    No answer is due on it, so a socket that is readable has been closed by the server.
    """
    if connection.closed or connection.in_exchange or connection.expires_at <= monotonic():
        return False
    poll = select.poll()
    poll.register(connection.pgconn.socket, select.POLLIN)
    return not poll.poll(0)


def exchange(
    connection: AnyConnection,
    owner: str,
    query: Query,
    *,
    deadline: float,
    statement_timeout: float,
    prepare: bool,
    in_batches: bool = False,
) -> Exchange:
    """Send the binding and the query, and read the rows.

    With `in_batches` libpq does not collect the whole result, and the last batch is returned. If
    it ends early for any reason, the connection is closed, so that no part of the answer can
    reach another operation.
    """
    pgconn = connection.pgconn
    results: list[pq.abc.PGresult] = []
    rows: list[Row] = []
    connection.in_exchange = True
    try:
        pgconn.enter_pipeline_mode()
        bound = {"owner": owner, "timeout": str(max(1, int(statement_timeout * 1000)))}
        stages = _send(connection, BIND_OWNER, bound, prepare)
        stages += _send(connection, query.statement, query.values, prepare)
        pgconn.pipeline_sync()
        batched_from = len(stages) - 1 if in_batches else None
        for_owner = partial(rows_are_owners, query.statement, owner)
        rows = yield from _receive(connection, results, deadline, batched_from, for_owner)
        pgconn.exit_pipeline_mode()
    except psycopg.OperationalError as error:
        pgconn.finish()
        lost: BaseException | None = error
    except BaseException as error:
        # The deadline, a cancelled task, Ctrl-C. psycopg's own cancel would wait for the server.
        pgconn.finish()
        if isinstance(error, DeadlineExceeded):
            error.outcome_unknown = query.statement.writes
        raise
    else:
        lost = None

    for (statement, prepares), result in zip(stages, results, strict=False):
        if result.status in _OK:
            if prepares:
                connection.prepared.add(statement.name)
            elif statement is BIND_OWNER and not _repeats_owner(result, owner):
                pgconn.finish()
                raise isolation_broken()
        elif sqlstate := result.error_field(_SQLSTATE):
            # The server refused it before the Sync, so nothing was committed.
            connection.in_exchange = False
            raise _refusal(connection, statement, sqlstate.decode(), result)
    if lost is not None or len(results) < len(stages):
        raise ConnectionLost(outcome_unknown=query.statement.writes) from lost
    connection.in_exchange = False
    rows = rows or _rows(connection.transformer, results[-1])
    if not rows_are_owners(query.statement, owner, rows):
        pgconn.finish()
        raise isolation_broken()
    return rows


def until_batch(exchange: Exchange) -> PQGen[list[Row] | Batch]:
    """Continue an exchange up to its next batch, or to its end and the rows that it returns."""
    ready: Any = None
    while True:
        try:
            step = exchange.send(ready)
        except StopIteration as done:
            rows: list[Row] = done.value
            return rows
        if isinstance(step, Batch):
            return step
        ready = yield step


def _send(
    connection: AnyConnection, statement: Statement, values: Mapping[str, object], prepare: bool
) -> list[tuple[Statement, bool]]:
    """Queue a statement; return the results to expect, and which of them prepare it."""
    pgconn = connection.pgconn
    transformer = connection.transformer
    parameters = [values[name] for name in statement.parameters]
    dumped = transformer.dump_sequence(parameters, [PyFormat.AUTO] * len(parameters))
    formats = transformer.formats
    if not prepare:
        pgconn.send_query_params(statement.sql, dumped, None, formats, _BINARY)
        return [(statement, False)]
    stages = [(statement, False)]
    if statement.name not in connection.prepared:
        pgconn.send_prepare(statement.name, statement.sql)
        stages.insert(0, (statement, True))
    pgconn.send_query_prepared(statement.name, dumped, formats, _BINARY)
    return stages


def _receive(
    connection: AnyConnection,
    results: list[pq.abc.PGresult],
    deadline: float,
    batched_from: int | None,
    for_owner: Callable[[list[Row]], bool],
) -> Exchange:
    """Collect the results up to the Sync; of the one after `batched_from` results, the batches.

    The last batch is returned, and still has to be compared with the owner.
    """
    pgconn = connection.pgconn
    rows: list[Row] = []
    while pgconn.flush():
        yield from _wait(Wait.RW, deadline)
        pgconn.consume_input()
    while True:
        while pgconn.is_busy():
            yield from _wait(Wait.R, deadline)
            pgconn.consume_input()
        result = pgconn.get_result()
        if result is None:  # the end of one statement's results
            if pgconn.status == _BAD:
                raise psycopg.OperationalError("the connection was closed")
            if len(results) == batched_from and results[-1].status in _OK:
                # Only now: the mode is that of one statement, which must not have a result yet.
                if _CHUNKED:
                    pgconn.set_chunked_rows_mode(BATCH)
                else:
                    pgconn.set_single_row_mode()
        elif (status := result.status) == _SYNC:
            return rows
        elif batched_from is not None and status in _PART:
            if len(rows) >= BATCH:
                if not for_owner(rows):
                    raise isolation_broken()
                yield Batch(rows)
                rows = []
            found = _rows(connection.transformer, result)
            rows = rows + found if rows else found
        else:
            results.append(result)


def _wait(what: Wait, deadline: float) -> Generator[Wait, Ready | int, None]:
    if monotonic() >= deadline:
        raise DeadlineExceeded
    yield what


def _refusal(
    connection: AnyConnection, statement: Statement, sqlstate: str, result: pq.abc.PGresult
) -> TaskcoreError:
    binding = statement is BIND_OWNER
    error: TaskcoreError
    if is_shared_statement(sqlstate):
        connection.prepared.clear()
        error = StatementShared()
    elif is_invalidated_statement(sqlstate) and statement.name in connection.prepared:
        connection.pgconn.finish()
        error = ConnectionLost()
    else:
        if is_read_only(sqlstate):
            connection.pgconn.finish()
        function = result.error_field(_SOURCE_FUNCTION) or b""
        error = error_for(sqlstate, source_function=function.decode(), binding=binding)
    # Only the primary message is kept, because the detail of some errors quotes the row.
    safe = binding or not message_may_quote_values(sqlstate)
    message = (result.error_field(_MESSAGE) or b"").decode(errors="replace") if safe else ""
    try:
        error.__cause__ = errors.lookup(sqlstate)(message)
    except KeyError:
        error.__cause__ = psycopg.DatabaseError(f"{sqlstate}: {message}")
    return error


def _repeats_owner(binding: pq.abc.PGresult, owner: str) -> bool:
    return binding.get_value(0, _BOUND_OWNER) == owner.encode()


def _rows(transformer: abc.Transformer, result: pq.abc.PGresult) -> list[Row]:
    transformer.set_pgresult(result, format=_BINARY)
    rows = transformer.load_rows(0, result.ntuples, tuple)
    transformer.set_pgresult(None)  # it would keep the memory of the result until the next query
    return rows
