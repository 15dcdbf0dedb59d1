"""One query and the binding of its owner, in one round trip on a libpq connection.

Both statements go out in one pipeline and, up to its Sync, are one implicit transaction: what the
first sets (the tenant role, the owner that row-level security compares with, the time limit)
holds for the second and ends with it, also when a statement fails.

It is written as psycopg's own generators are, which yield when they would block, one layer below
its cursors: through those the same two statements cost half as much CPU again.
"""

from __future__ import annotations

import select
from collections.abc import Mapping
from time import monotonic
from typing import Any, TypeAlias

import psycopg
from psycopg import abc, errors, pq
from psycopg.abc import PQGen
from psycopg.adapt import PyFormat, Transformer
from psycopg.waiting import Wait
from sqlalchemy import text

from taskcore.errors import ConnectionLost, DeadlineExceeded, TaskcoreError
from taskcore.tenancy import OWNER_SETTING, TENANT_ROLE

from . import fork
from .op import Query, Row, Statement
from .owner_check import isolation_broken, rows_are_owners
from .sqlstates import (
    error_for,
    is_forgotten_statement,
    is_read_only,
    message_may_quote_values,
)

# With an empty search_path, names are found in pg_catalog only. Until it is set, every name in the
# statement says its schema.
BIND_OWNER = Statement(
    text(f"""
        SELECT pg_catalog.set_config('search_path', '', true),
               pg_catalog.set_config('role', '{TENANT_ROLE}', true),
               pg_catalog.set_config('{OWNER_SETTING}', CAST(:owner AS pg_catalog.text), true),
               pg_catalog.set_config('statement_timeout', CAST(:timeout AS pg_catalog.text), true)
    """)
)

# Its answer repeats the owner in this column.
_BOUND_OWNER = 2

# Seconds after which a connection is replaced.
_LIFETIME = 3600.0

_OK = (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK)
_SYNC = pq.ExecStatus.PIPELINE_SYNC
_BAD = pq.ConnStatus.BAD
_BINARY = pq.Format.BINARY
_SQLSTATE = pq.DiagnosticField.SQLSTATE
_MESSAGE = pq.DiagnosticField.MESSAGE_PRIMARY
_SOURCE_FUNCTION = pq.DiagnosticField.SOURCE_FUNCTION


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
) -> PQGen[list[Row]]:
    """Send the binding and the query, and read the rows.

    If it ends early for any reason, the connection is closed, so that no part of the answer can
    reach another operation.
    """
    pgconn = connection.pgconn
    results: list[pq.abc.PGresult] = []
    connection.in_exchange = True
    try:
        pgconn.enter_pipeline_mode()
        bound = {"owner": owner, "timeout": str(max(1, int(statement_timeout * 1000)))}
        stages = _send(connection, BIND_OWNER, bound, prepare)
        stages += _send(connection, query.statement, query.values, prepare)
        pgconn.pipeline_sync()
        yield from _receive(pgconn, results, deadline)
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
    rows = _rows(connection.transformer, results[-1])
    if not rows_are_owners(query.statement, owner, rows):
        pgconn.finish()
        raise isolation_broken()
    return rows


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


def _receive(pgconn: pq.abc.PGconn, results: list[pq.abc.PGresult], deadline: float) -> PQGen[None]:
    """Collect the results up to the Sync."""
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
        elif result.status == _SYNC:
            return
        else:
            results.append(result)


def _wait(what: Wait, deadline: float) -> PQGen[None]:
    if monotonic() >= deadline:
        raise DeadlineExceeded
    yield what


def _refusal(
    connection: AnyConnection, statement: Statement, sqlstate: str, result: pq.abc.PGresult
) -> TaskcoreError:
    binding = statement is BIND_OWNER
    if is_forgotten_statement(sqlstate) and statement.name in connection.prepared:
        connection.pgconn.finish()
        error: TaskcoreError = ConnectionLost()
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
    return transformer.load_rows(0, result.ntuples, tuple)
