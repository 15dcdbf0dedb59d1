"""One exchange on a connection: what of its answer is believed, and when the connection is kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

import psycopg
import pytest
from sqlalchemy import delete, select, text

from core.pool_connection import pool_connection
from taskcore import (
    ConnectionLost,
    Database,
    DatabaseFault,
    IsolationBroken,
    Task,
    TaskcoreError,
)
from taskcore.errors import SchemaMissing, TenantRoleMissing
from taskcore.execution import wire
from taskcore.execution.blocking_wait import wait_for_part
from taskcore.execution.connection import Connection, is_usable
from taskcore.execution.op import Query, Row, Statement
from taskcore.execution.wire import Exchange

READ = Statement(select(Task.__table__.c.user_id))
WRITE = Statement(delete(Task.__table__))
OWNER = "m"


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    with Database(url, min_size=1, max_size=1) as database, pool_connection(database) as connection:
        yield connection


def sent(
    connection: Connection, statement: Statement, *, timeout: float = 30, prepare: bool = True
) -> Exchange:
    exchange = Exchange(connection, OWNER, Query(statement, {}), in_batches=False)
    exchange.send(timeout, prepare=prepare)
    return exchange


def answer(exchange: Exchange) -> list[Row]:
    found = wait_for_part(exchange, monotonic() + 30)
    assert isinstance(found, list)
    return found


def cause_of(exchange: Exchange, expected: type[TaskcoreError]) -> BaseException | None:
    with pytest.raises(expected) as raised:
        answer(exchange)
    assert type(raised.value) is expected
    return raised.value.__cause__


@pytest.mark.parametrize("other", ["a", "z"])
@pytest.mark.parametrize("earlier", [0, 1], ids=["at first", "later"])
@pytest.mark.parametrize("prepare", [True, False], ids=["prepared", "unprepared"])
def test_an_answer_without_rows_is_not_returned_to_another_owner(
    url: str, prepare: bool, earlier: int, other: str
) -> None:
    """The control is the answer before."""
    with connected(url) as connection:
        for _ in range(earlier):
            assert answer(sent(connection, READ, prepare=prepare)) == []
        exchange = sent(connection, READ, prepare=prepare)
        exchange.owner = other
        with pytest.raises(IsolationBroken):
            answer(exchange)
        assert connection.closed


def test_a_connection_whose_answer_is_due_is_not_used(url: str) -> None:
    with connected(url) as connection:
        assert is_usable(connection)
        exchange = sent(connection, READ)
        assert not is_usable(connection)
        assert answer(exchange) == []
        assert is_usable(connection)


@pytest.mark.parametrize("statement", [READ, WRITE], ids=["read", "write"])
def test_what_cannot_be_sent_is_lost(url: str, statement: Statement) -> None:
    with connected(url) as connection:
        connection.pgconn.finish()
        with pytest.raises(ConnectionLost) as lost:
            sent(connection, statement)
        assert lost.value.outcome_unknown is statement.writes


@pytest.mark.parametrize(("seconds", "limit"), [(30.0, "30000"), (2.5, "2500"), (0.0001, "1")])
def test_the_servers_limit_is_in_milliseconds_and_never_0(
    seconds: float, limit: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """0 would be no limit. It is set under another name, because 1 may be too little."""
    named = text(
        "SELECT 0, 1, CAST(:owner AS pg_catalog.text), "
        "pg_catalog.set_config('of_a_test.limit', CAST(:timeout AS pg_catalog.text), true)"
    )
    monkeypatch.setattr(wire, "BIND_OWNER", Statement(named))
    found = Statement(text("SELECT pg_catalog.current_setting('of_a_test.limit')"))
    with connected(url) as connection:
        assert answer(sent(connection, found, timeout=seconds)) == [(limit,)]


# --- the block ------------------------------------------------------------------------------------


def test_a_write_whose_block_was_rolled_back_has_an_unknown_outcome(
    distributed_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As PostgreSQL answers the COMMIT of a block that has failed: without an error."""
    with connected(distributed_url) as connection:
        assert answer(sent(connection, WRITE)) == []
        monkeypatch.setattr(wire, "_COMMIT", Statement(text("ROLLBACK")))
        assert answer(sent(connection, READ)) == []
        exchange = sent(connection, WRITE)
        with pytest.raises(ConnectionLost) as lost:
            answer(exchange)
        assert lost.value.outcome_unknown
        assert connection.closed


def test_a_connection_whose_block_goes_on_is_closed(
    distributed_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connected(distributed_url) as connection:
        assert answer(sent(connection, READ)) == []
        assert not connection.closed
        monkeypatch.setattr(wire, "_COMMIT", Statement(text("SELECT 1")))
        assert answer(sent(connection, READ)) == []
        assert connection.closed


# --- prepared statements --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT away", SchemaMissing),
        ("SELECT pg_catalog.current_setting('of_a_test.away')", DatabaseFault),
    ],
    ids=["when it is prepared", "when it is executed"],
)
def test_it_is_known_which_statements_are_prepared(
    url: str, query: str, expected: type[TaskcoreError]
) -> None:
    listed = Statement(text("SELECT name FROM pg_catalog.pg_prepared_statements"))
    with connected(url) as connection:
        for _ in range(2):
            cause_of(sent(connection, Statement(text(query))), expected)
            found = answer(sent(connection, listed, prepare=False))
            assert {str(name).encode() for (name,) in found} == connection.prepared
        assert wire.BIND_OWNER.name in connection.prepared


# --- the cause of an error ------------------------------------------------------------------------


def test_the_cause_keeps_the_message_unless_it_may_quote_a_value(url: str) -> None:
    with connected(url) as connection:
        cause = cause_of(sent(connection, Statement(text("SELECT away"))), SchemaMissing)
        assert str(cause) == 'column "away" does not exist'
        secret = Statement(text("SELECT CAST('s3cret' AS int)"))
        cause = cause_of(sent(connection, secret), DatabaseFault)
        assert isinstance(cause, psycopg.errors.InvalidTextRepresentation)
        assert str(cause) == ""


def test_the_cause_of_a_failed_binding_keeps_its_message(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the code of a wrong value, but quotes the role."""
    away = Statement(
        text("SELECT pg_catalog.set_config('role', 'away', true), CAST(:a AS text), :b")
    )
    monkeypatch.setattr(wire, "BIND_OWNER", away)
    monkeypatch.setattr(wire, "_BINDINGS", (away,))
    with connected(url) as connection:
        cause = cause_of(sent(connection, READ), TenantRoleMissing)
    assert str(cause) == 'role "away" does not exist'


def test_a_code_that_psycopg_does_not_know_has_a_cause_that_names_it(url: str) -> None:
    unknown = "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'ZZ999', MESSAGE = 'of a test'; END $$"
    with connected(url) as connection:
        cause = cause_of(sent(connection, Statement(text(unknown))), DatabaseFault)
    assert (type(cause), str(cause)) == (psycopg.DatabaseError, "ZZ999: of a test")
