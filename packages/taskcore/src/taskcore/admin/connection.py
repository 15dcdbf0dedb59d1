"""An operator's session, and the errors of its statements."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import psycopg

from taskcore.errors import ConnectionLost, DatabaseFault, NoConnection, TaskcoreError
from taskcore.execution.sqlstates import admin_error_for
from taskcore.urls import direct, libpq_conninfo

Admin: TypeAlias = psycopg.Connection[tuple[Any, ...]]


@contextmanager
def connected(url: str) -> Iterator[Admin]:
    """Open an operator's session; every statement is a transaction of its own."""
    try:
        connection = psycopg.connect(
            direct(libpq_conninfo(url)),
            autocommit=True,
            client_encoding="utf-8",
            application_name="taskcore admin",
        )
    except psycopg.OperationalError as error:
        raise NoConnection(
            "the database cannot be reached, or does not let this login in"
        ) from error
    with connection, _translated():
        connection.execute(
            "SELECT pg_catalog.set_config('search_path', '', false), "
            "pg_catalog.set_config('timezone', 'UTC', false), "
            "pg_catalog.set_config('row_security', 'off', false)"
        )
        yield connection


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        raise _translation(error) from error


def _translation(error: psycopg.Error) -> TaskcoreError:
    if error.sqlstate is not None:
        return admin_error_for(error.sqlstate, error.diag.message_primary)
    if isinstance(error, psycopg.OperationalError):
        return ConnectionLost(
            "the connection to the database was lost; the transaction was rolled back"
        )
    return DatabaseFault()
