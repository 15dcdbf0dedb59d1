"""The connection that migrations run on: direct, without prepared statements, notices reported."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from taskcore import connections
from taskcore.errors import NoConnection
from taskcore.tenancy import SET_SEARCH_PATH
from taskcore.urls import direct, libpq_conninfo

Report = Callable[[str], None]


def silent(_: str) -> None:
    """Report nothing."""


@contextmanager
def connect(url: str, report: Report = silent) -> Iterator[sa.Connection]:
    """Connect to the database itself, past a pooler that the host's name shows."""
    conninfo = direct(libpq_conninfo(url))

    def make(conninfo: str) -> psycopg.Connection[Any]:
        return psycopg.connect(conninfo, client_encoding="utf-8", prepare_threshold=None)

    def new_connection() -> psycopg.Connection[Any]:
        connection = connections.connect(make, conninfo)
        connection.add_notice_handler(lambda notice: report(notice.message_primary or ""))
        return connection

    engine = sa.create_engine(
        "postgresql+psycopg://",
        creator=new_connection,
        poolclass=sa.NullPool,
        # It would be looked for before the first transaction begins.
        use_native_hstore=False,
    )
    sa.event.listen(engine, "begin", _set_search_path)
    try:
        connection = engine.connect()
    except DBAPIError as error:
        raise NoConnection(
            "the database cannot be reached, or does not let this login in"
        ) from error
    with connection:
        yield connection


def _set_search_path(connection: sa.Connection) -> None:
    connection.exec_driver_sql(SET_SEARCH_PATH)


def set_local(connection: sa.Connection, settings: Mapping[str, str]) -> None:
    """Set these settings for the transaction that is open."""
    for name, value in settings.items():
        connection.execute(sa.select(sa.func.pg_catalog.set_config(name, value, True)))


def literal(value: str) -> str:
    """Return the value as a string in SQL."""
    return "'" + value.replace("'", "''") + "'"
