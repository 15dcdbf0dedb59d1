"""One query and the binding of its owner, in one round trip on a libpq connection.

Both statements go out in one pipeline and, up to its Sync, are one implicit transaction: what the
first sets (the tenant role, the owner that row-level security compares with, the time limit)
holds for the second and ends with it, also when a statement fails.

Where the tasks are spread over several nodes, the two stand in a transaction block. Its COMMIT goes
out in the same flush, behind a Sync of its own, so that it is carried out in any case: it ends a
block that has failed too, without another round trip.

An `Exchange` never waits: it sends, takes what has arrived, and makes rows or an error of it. How
its socket is waited for is the driver's business. It is written one layer below psycopg's cursors:
through those the same two statements cost half as much CPU again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import psycopg
from psycopg import abc, errors, pq
from psycopg.adapt import PyFormat
from sqlalchemy import text

from taskcore.errors import ConnectionLost, TaskcoreError
from taskcore.tenancy import OWNER_SETTING, SEARCH_PATH, TENANT_ROLE

from .connection import AnyConnection
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

# Where the tasks are spread over several nodes, a setting reaches the others only by a SET LOCAL
# statement in a transaction block; the function has one. The role must not reach them: there the
# reason function would run as the tenant.
BIND_ON_ALL_NODES = Statement(
    text(f"""
        SELECT pg_catalog.set_config('search_path', '{SEARCH_PATH}', true),
               pg_catalog.set_config('role', '{TENANT_ROLE}', true),
               public.taskcore_set_owner(CAST(:owner AS pg_catalog.text)),
               pg_catalog.set_config('statement_timeout', CAST(:timeout AS pg_catalog.text), true)
    """)
)
_BINDINGS = (BIND_OWNER, BIND_ON_ALL_NODES)
_BEGIN = Statement(text("BEGIN"))
_COMMIT = Statement(text("COMMIT"))

# The answer to both repeats the owner in this column.
_BOUND_OWNER = 2

# A list of this many rows is one batch, and one result of libpq.
BATCH = 128
# Before version 17, libpq gives a result in parts of one row only.
_CHUNKED = psycopg.capabilities.has_stream_chunked()

_OK = (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK)
_PART = (pq.ExecStatus.TUPLES_CHUNK, pq.ExecStatus.SINGLE_TUPLE)
_SYNC = pq.ExecStatus.PIPELINE_SYNC
_BAD = pq.ConnStatus.BAD
_IDLE = pq.TransactionStatus.IDLE
_BINARY = pq.Format.BINARY
_SQLSTATE = pq.DiagnosticField.SQLSTATE
_MESSAGE = pq.DiagnosticField.MESSAGE_PRIMARY
_SOURCE_FUNCTION = pq.DiagnosticField.SOURCE_FUNCTION

Stage: TypeAlias = tuple[Statement, bool]
"""A result that is due: of this statement, and whether of its preparation."""


class StatementShared(ConnectionLost):
    """Prepared statements do not stay with the connection; nothing ran."""


class Batch(NamedTuple):
    """Rows of a result of which more are to come."""

    rows: list[Row]


class Exchange:
    """What one query sends on a connection, and what comes back.

    Whatever ends it early has to close the connection, so that no part of the answer can reach
    another operation.
    """

    __slots__ = ("_answered", "_in_batches", "_results", "_rows", "_stages", "_syncs_due",
                 "connection", "owner", "query")  # fmt: skip

    def __init__(
        self, connection: AnyConnection, owner: str, query: Query, *, in_batches: bool
    ) -> None:
        """With `in_batches`, libpq does not collect the whole result of the query."""
        self.connection = connection
        self.owner = owner
        self.query = query
        self._in_batches = in_batches
        # Known once it is sent: the query's place among the results, and the Syncs that are due.
        self._answered: int
        self._syncs_due: int
        self._stages: list[Stage] = []
        self._results: list[pq.abc.PGresult] = []
        self._rows: list[Row] = []

    def send(self, statement_timeout: float, *, prepare: bool) -> None:
        """Queue the messages up to the last Sync; the driver flushes them."""
        connection = self.connection
        pgconn = connection.pgconn
        transformer = connection.transformer
        statement, values = self.query.statement, self.query.values
        parameters = [values[name] for name in statement.parameters]
        # May refuse a value, and so comes before anything is sent.
        dumped = transformer.dump_sequence(parameters, [PyFormat.AUTO] * len(parameters))
        binding = (self.owner.encode(), b"%d" % max(1, int(statement_timeout * 1000)))
        connection.in_exchange = True
        try:
            pgconn.enter_pipeline_mode()  # does nothing but at the first exchange
            if connection.distributed:
                stages = _send(connection, _BEGIN, (), None, prepare)
                stages += _send(connection, BIND_ON_ALL_NODES, binding, None, prepare)
            else:
                stages = _send(connection, BIND_OWNER, binding, None, prepare)
            stages += _send(connection, statement, dumped, transformer.formats, prepare)
            self._answered = len(stages) - 1
            pgconn.pipeline_sync()
            self._syncs_due = 1
            if connection.distributed:
                stages += _send(connection, _COMMIT, (), None, prepare)
                pgconn.pipeline_sync()
                self._syncs_due = 2
        except psycopg.OperationalError as error:
            raise ConnectionLost(outcome_unknown=statement.writes) from error
        self._stages = stages

    def receive(self) -> Batch | bool:
        """Take what has arrived: a batch, True at the end of the answer, or False before it."""
        pgconn = self.connection.pgconn
        while not pgconn.is_busy():
            result = pgconn.get_result()
            if result is None:  # the end of one statement's results
                if pgconn.status == _BAD:
                    raise psycopg.OperationalError("the connection was closed")
                if (
                    self._in_batches
                    and len(self._results) == self._answered
                    and self._results[-1].status in _OK
                ):
                    # Only now: the mode is that of one statement, which must not have a result yet.
                    if _CHUNKED:
                        pgconn.set_chunked_rows_mode(BATCH)
                    else:
                        pgconn.set_single_row_mode()
            elif (status := result.status) == _SYNC:
                self._syncs_due -= 1
                if not self._syncs_due:
                    return True
            elif self._in_batches and status in _PART:
                batch = self._take_part(result)
                if batch is not None:
                    return batch
            else:
                self._results.append(result)
        return False

    def rows(self, lost: BaseException | None = None) -> list[Row]:
        """Return the rows at the end of the answer, the last batch of them, or raise what it says.

        If the connection was `lost` before, what the server refused until then is still raised.
        """
        connection = self.connection
        answers = zip(self._stages, self._results, strict=False)
        for (statement, prepares), result in answers:
            if result.status in _OK:
                if prepares:
                    connection.prepared.add(statement.name)
                elif statement in _BINDINGS and not _repeats_owner(result, self.owner):
                    connection.pgconn.finish()
                    raise isolation_broken()
            elif sqlstate := result.error_field(_SQLSTATE):
                # What comes after a refused statement may have been prepared too.
                for (later, prepares), other in answers:
                    if prepares and other.status in _OK:
                        connection.prepared.add(later.name)
                # The server refused it before it committed anything.
                self._end()
                raise self._refusal(statement, sqlstate.decode(), result)
        for result in self._results[len(self._stages) :]:  # the answer to a Sync: no commit
            self._refuse_commit(result)
        if lost is not None or len(self._results) < len(self._stages):
            raise ConnectionLost(outcome_unknown=self.query.statement.writes) from lost
        if self.query.statement.writes and not self._is_committed():
            connection.pgconn.finish()
            raise ConnectionLost(outcome_unknown=True)
        self._end()
        rows = self._rows or _rows(connection.transformer, self._results[self._answered])
        if not rows_are_owners(self.query.statement, self.owner, rows):
            connection.pgconn.finish()
            raise isolation_broken()
        return rows

    def _end(self) -> None:
        """All of the answer is accounted for; a connection whose block goes on is closed."""
        connection = self.connection
        connection.in_exchange = False
        if connection.distributed and connection.pgconn.transaction_status != _IDLE:
            connection.pgconn.finish()

    def _is_committed(self) -> bool:
        # The COMMIT of a block that has failed succeeds, and says that it was a ROLLBACK.
        return not self.connection.distributed or self._results[-1].command_status == b"COMMIT"

    def _refuse_commit(self, result: pq.abc.PGresult) -> None:
        """The implicit transaction was rolled back at its end, as by a deferred trigger."""
        writes = self.query.statement.writes
        sqlstate = result.error_field(_SQLSTATE)
        if not sqlstate:
            self.connection.pgconn.finish()
            raise ConnectionLost(outcome_unknown=writes)
        self._end()
        error = self._refusal(self.query.statement, sqlstate.decode(), result)
        if isinstance(error, ConnectionLost):  # the server ended the session, perhaps after it
            error.outcome_unknown = writes
        raise error

    def _refusal(
        self, statement: Statement, sqlstate: str, result: pq.abc.PGresult
    ) -> TaskcoreError:
        error = _refusal(self.connection, statement, sqlstate, result)
        if statement is _COMMIT:
            self.connection.pgconn.finish()
            if isinstance(error, StatementShared):
                return error  # it was not run, and its block ends with the session
            # The nodes commit one after the other, so some may have done it.
            lost = ConnectionLost(outcome_unknown=self.query.statement.writes)
            lost.__cause__ = error.__cause__
            return lost
        return error

    def _take_part(self, result: pq.abc.PGresult) -> Batch | None:
        """Take a part of the rows; return the batch before it, once that is complete."""
        found = _rows(self.connection.transformer, result)
        before = self._rows
        if len(before) < BATCH:
            self._rows = before + found if before else found
            return None
        self._rows = found
        if not rows_are_owners(self.query.statement, self.owner, before):
            self.connection.pgconn.finish()
            raise isolation_broken()
        return Batch(before)


def _send(
    connection: AnyConnection,
    statement: Statement,
    parameters: Sequence[abc.Buffer | None],
    formats: list[pq.Format] | None,
    prepare: bool,
) -> list[Stage]:
    """Queue a statement; return the results to expect, and which of them prepare it."""
    pgconn = connection.pgconn
    if not prepare:
        pgconn.send_query_params(statement.sql, parameters, None, formats, _BINARY)
        return [(statement, False)]
    name = statement.name
    if name in connection.prepared:
        pgconn.send_query_prepared(name, parameters, formats, _BINARY)
        return [(statement, False)]
    pgconn.send_prepare(name, statement.sql)
    pgconn.send_query_prepared(name, parameters, formats, _BINARY)
    return [(statement, True), (statement, False)]


def _refusal(
    connection: AnyConnection, statement: Statement, sqlstate: str, result: pq.abc.PGresult
) -> TaskcoreError:
    binding = statement in _BINDINGS
    function = (result.error_field(_SOURCE_FUNCTION) or b"").decode()
    error: TaskcoreError
    if is_shared_statement(sqlstate):
        connection.prepared.clear()
        error = StatementShared()
    elif is_invalidated_statement(sqlstate, function) and statement.name in connection.prepared:
        connection.pgconn.finish()
        error = ConnectionLost()
    else:
        if is_read_only(sqlstate):
            connection.pgconn.finish()
        error = error_for(sqlstate, source_function=function, binding=binding)
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
