"""Operations that wait for a lock, and a way to know that they do."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, TypeAlias

import psycopg
import pytest

from taskcore import TaskRead

Lock: TypeAlias = Callable[[TaskRead], AbstractContextManager[None]]


class Blocked(Protocol):
    def __call__(self, *, but: int = 0) -> int: ...


@pytest.fixture
def lock(url: str) -> Lock:
    """Holds the row of a task, so that no write gets at it."""

    @contextmanager
    def hold(task: TaskRead) -> Iterator[None]:
        with psycopg.connect(url) as holder:
            holder.execute("SELECT FROM tasks WHERE id = %s FOR UPDATE", [task.id])
            yield

    return hold


@pytest.fixture
def blocked(admin: psycopg.Connection) -> Blocked:
    """Waits until an operation waits for a lock, and gives the pid of its backend."""

    def wait(*, but: int = 0) -> int:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            row = admin.execute(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
                " AND wait_event_type = 'Lock' AND pid <> %s",
                [but],
            ).fetchone()
            if row:
                return int(row[0])
            time.sleep(0.01)
        raise AssertionError("nothing waits for a lock")

    return wait
