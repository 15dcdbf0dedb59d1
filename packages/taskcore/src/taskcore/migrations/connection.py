"""The connection that migrations run on: direct, without prepared statements, notices reported."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from taskcore.errors import NoConnection
from taskcore.urls import direct, libpq_conninfo

Report = Callable[[str], None]


def silent(_: str) -> None:
    """Report nothing."""


@contextmanager
def connect(url: str, report: Report = silent) -> Iterator[sa.Connection]:
    """Connect to the database itself, past a pooler that the host's name shows."""
    conninfo = direct(libpq_conninfo(url))

    def new_connection() -> psycopg.Connection[Any]:
        connection = psycopg.connect(conninfo, client_encoding="utf-8", prepare_threshold=None)
        connection.add_notice_handler(lambda notice: report(notice.message_primary or ""))
        return connection

    engine = sa.create_engine(
        "postgresql+psycopg://", creator=new_connection, poolclass=sa.NullPool
    )
    try:
        connection = engine.connect()
    except DBAPIError as error:
        raise NoConnection(
            "the database cannot be reached, or does not let this login in"
        ) from error
    with connection:
        yield connection


def set_local(connection: sa.Connection, settings: Mapping[str, str]) -> None:
    """Set these settings for the transaction that is open."""
    for name, value in settings.items():
        connection.execute(sa.select(sa.func.set_config(name, value, True)))
