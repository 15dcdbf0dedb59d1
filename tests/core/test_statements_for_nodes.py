"""Every node of a cluster can run the statements of the operations.

PostgreSQL says what a statement calls: it keeps the parse tree of the body of a function.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import Interval, func, literal_column, update

from support.unfiltered import FILTERED, STATEMENTS
from taskcore import Task
from taskcore.execution.op import Statement
from taskcore.tasks import operations

_TASKS = Task.__table__
_TOKEN = re.compile(r"\\.|[{}()]|[^\s{}()\\]+")
# The function behind a node of the tree.
_FUNCTION_FIELDS = (":funcid", ":opfuncid", ":aggfnoid", ":winfnoid")


def parse_tree(connection: psycopg.Connection[Any], statement: Statement) -> str:
    """The statement as PostgreSQL has understood it."""
    sql = statement.sql.decode()
    with connection.transaction(force_rollback=True):
        connection.execute(f"PREPARE walked AS {sql}".encode())
        row = connection.execute(
            "SELECT parameter_types::text[] FROM pg_prepared_statements WHERE name = 'walked'"
        ).fetchone()
        assert row is not None
        connection.execute("DEALLOCATE walked")
        arguments = ", ".join(row[0])
        connection.execute(
            f"CREATE FUNCTION pg_temp.walked({arguments}) RETURNS SETOF record "
            f"BEGIN ATOMIC {sql}; END".encode()
        )
        found = connection.execute(
            "SELECT prosqlbody::text FROM pg_proc WHERE proname = 'walked'"
        ).fetchone()
        assert found is not None
        return str(found[0])


def calls_on_columns(tree: str) -> set[int]:
    """The functions of a tree that a column goes into."""
    found: set[int] = set()
    open_nodes: list[list[int]] = []
    # For each node that is open, the functions that it calls; a column belongs to all around it.
    tokens = iter(_TOKEN.findall(tree))
    for token in tokens:
        if token == "{":
            open_nodes.append([])
            if next(tokens) == "VAR":
                found.update(function for node in open_nodes for function in node)
        elif token == "}":
            open_nodes.pop()
        elif token in _FUNCTION_FIELDS:
            open_nodes[-1].append(int(next(tokens)))
    return found


def changeable(connection: psycopg.Connection[Any], statement: Statement) -> list[str]:
    """The functions of a statement that are not immutable, and that a column goes into."""
    functions = sorted(calls_on_columns(parse_tree(connection, statement)))
    query = (
        "SELECT oid::regprocedure::text FROM pg_proc WHERE oid = ANY (%s) AND provolatile <> 'i'"
    )
    return [name for (name,) in connection.execute(query, [functions])]


@pytest.fixture
def connection(url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


@pytest.mark.parametrize("name", STATEMENTS)
def test_no_function_that_may_change_is_applied_to_a_column(
    connection: psycopg.Connection[Any], name: str
) -> None:
    assert changeable(connection, STATEMENTS[name]) == []


def test_a_function_that_may_change_is_found(connection: psycopg.Connection[Any]) -> None:
    """The control: a time with a time zone plus an interval depends on the session's zone."""
    later = _TASKS.c.updated_at + literal_column("interval '1 microsecond'", Interval)
    statement = Statement(
        update(_TASKS)
        .where(_TASKS.c.user_id == operations._OWNER)
        .values(updated_at=func.greatest(func.now(), later))
        .returning(_TASKS.c.id)
    )
    assert changeable(connection, statement) == [
        "timestamptz_pl_interval(timestamp with time zone,interval)"
    ]


@pytest.mark.parametrize("name", STATEMENTS)
def test_no_statement_locks_rows_that_it_reads(name: str) -> None:
    assert not re.search(
        r"\bFOR (NO KEY )?(UPDATE|SHARE|KEY SHARE)\b", STATEMENTS[name].sql.decode()
    )


@pytest.mark.parametrize("name", FILTERED)
def test_the_owner_is_in_every_where(name: str) -> None:
    _, _, where = " ".join(STATEMENTS[name].sql.decode().split()).partition(" WHERE ")
    assert re.search(r"public\.tasks\.user_id = \$\d+", where)
