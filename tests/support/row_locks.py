"""Locks on rows, held by a test, and the operations that wait for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, TypeAlias

import psycopg
import pytest

from support.polling import wait_until
from taskcore import TaskRead

LockRow: TypeAlias = Callable[[TaskRead], AbstractContextManager[None]]


class WaitForBlocked(Protocol):
    def __call__(self, *, but: int = 0) -> int: ...


@pytest.fixture
def lock_row(url: str) -> LockRow:
    """Lock the row of a task, so that every write to it waits."""

    @contextmanager
    def hold(task: TaskRead) -> Iterator[None]:
        with psycopg.connect(url) as holder:
            holder.execute("SELECT FROM tasks WHERE id = %s FOR UPDATE", [task.id])
            yield

    return hold


@pytest.fixture
def wait_for_blocked(admin: psycopg.Connection) -> WaitForBlocked:
    """Wait until an operation waits for a lock; return the pid of its backend, other than `but`."""

    def blocked(but: int) -> list[int]:
        query = (
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
            " AND wait_event_type = 'Lock' AND pid <> %s"
        )
        return [int(row[0]) for row in admin.execute(query, [but])]

    def wait(*, but: int = 0) -> int:
        found: list[int] = []

        def waiting() -> bool:
            found[:] = blocked(but)
            return bool(found)

        wait_until(waiting, "an operation that waits for a lock", timeout=30)
        return found[0]

    return wait
