"""An operator's session, and the errors of its statements."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from taskcore import ownership
from taskcore.citus import IS_DISTRIBUTED, SEQUENTIAL
from taskcore.connections import LocalConnection
from taskcore.errors import (
    ConnectionLost,
    DatabaseFault,
    NoConnection,
    TaskcoreError,
)
from taskcore.execution.sqlstates import admin_error_for
from taskcore.tenancy import OUR_OBJECTS, SET_SEARCH_PATH
from taskcore.urls import direct, libpq_conninfo

# For a transaction that changes the users table and the tasks.
ONE_AFTER_THE_OTHER = f"SELECT pg_catalog.set_config('{SEQUENTIAL}', 'sequential', true)"


class Admin(LocalConnection):
    """An operator's session; what its transactions begin with holds behind a pooler too."""

    settings = (
        f"{SET_SEARCH_PATH}, "
        "pg_catalog.set_config('timezone', 'UTC', true), "
        "pg_catalog.set_config('row_security', 'off', true)"
    )

    def is_distributed(self) -> bool:
        """Whether Citus spreads the tasks over several nodes."""
        row = self.execute(f"SELECT {IS_DISTRIBUTED}".encode()).fetchone()
        return bool(row and row[0])


@contextmanager
def connected(url: str, *, needs_tables: bool = True) -> Iterator[Admin]:
    """Open an operator's session; every statement is a transaction of its own.

    Objects of a login that is not trusted are refused, and so is a database without the tables,
    because another login could make them while the session is open.
    """
    try:
        connection = Admin.open(
            direct(libpq_conninfo(url)), client_encoding="utf-8", application_name="taskcore admin"
        )
    except psycopg.OperationalError as error:
        raise NoConnection(
            "the database cannot be reached, or does not let this login in"
        ) from error
    with connection, _translated():
        names = ownership.names_of_trusted(connection.execute(OUR_OBJECTS))
        if needs_tables:
            ownership.refuse_missing(names)
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
