"""An operator's session, and what the database refuses it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import psycopg

from taskcore.errors import (
    ConnectionLost,
    DatabaseFault,
    DatabaseUnavailable,
    InvalidInput,
    NoConnection,
    SchemaMissing,
    TaskcoreError,
)
from taskcore.urls import direct, libpq_conninfo

Admin: TypeAlias = psycopg.Connection[tuple[Any, ...]]


class NotPermitted(TaskcoreError):
    """This login may not do that: use the one that owns the tasks (DATABASE_URL_UNPOOLED)."""


class DiskFull(DatabaseUnavailable):
    """The database's disk is full; what was under way was rolled back."""


@contextmanager
def connected(url: str) -> Iterator[Admin]:
    """A session for what an operator does; every statement is a transaction of its own."""
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
    if error.sqlstate is None:
        if isinstance(error, psycopg.OperationalError):
            return ConnectionLost(
                "the connection to the database was lost; what was under way was rolled back"
            )
        return DatabaseFault()
    if error.sqlstate == "42501":
        return NotPermitted()
    if error.sqlstate in ("42P01", "42883", "3F000"):
        return SchemaMissing()
    if error.sqlstate in ("53100", "58030"):
        return DiskFull()
    if error.sqlstate == "25006":
        return DatabaseUnavailable("the database is read-only right now; nothing was changed")
    if error.sqlstate[:2] in ("22", "23"):
        return InvalidInput(f"the database does not take this: {error.diag.message_primary}")
    if error.sqlstate[:2] in ("08", "57"):
        return ConnectionLost("the server ended the connection; what was under way was rolled back")
    return DatabaseFault()
