"""A connection of a blocking database's pool, lent to a test as an operation borrows it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from taskcore import Database
from taskcore.execution.connection import Connection


@contextmanager
def pool_connection(database: Database) -> Iterator[Connection]:
    pool = database._open_pool()
    loan, give_back = pool.loan()
    try:
        yield pool.take(loan, monotonic() + 10)
    finally:
        give_back()
