"""A connection of a database's pool, lent to a test as an operation borrows it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from time import monotonic

from psycopg import pq

from taskcore import AsyncDatabase, Database
from taskcore.execution.connection import AnyConnection, AsyncConnection, Connection


@contextmanager
def pool_connection(database: Database) -> Iterator[Connection]:
    pool = database._open_pool()
    loan, give_back = pool.loan()
    try:
        connection = pool.take(loan, monotonic() + 10)
        _leave_pipeline(connection)
        yield connection
    finally:
        give_back()


@asynccontextmanager
async def loop_pool_connection(database: AsyncDatabase) -> AsyncIterator[AsyncConnection]:
    pool = database._open_pool()
    lent = await pool.wait(monotonic() + 10)
    try:
        _leave_pipeline(lent._connection)
        yield lent._connection
    finally:
        pool._free(lent)


def _leave_pipeline(connection: AnyConnection) -> None:
    """Let psycopg's own cursors use it; the next exchange begins a pipeline again."""
    if connection.pgconn.pipeline_status != pq.PipelineStatus.OFF:
        connection.pgconn.exit_pipeline_mode()
