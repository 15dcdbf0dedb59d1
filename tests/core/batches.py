"""A sink that keeps what it takes, and tasks enough for several batches."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import psycopg

from taskcore import Op, list_tasks
from taskcore.execution.op import Row


class Batches:
    """A sink that keeps what it takes, for both drivers."""

    def __init__(self, then: Callable[[], object] = lambda: None, *, awaited: bool) -> None:
        self.taken: list[list[Row]] = []
        self.restarts = 0
        self.awaited = awaited
        self._then = then

    @property
    def rows(self) -> list[Row]:
        return [row for batch in self.taken for row in batch]

    def restart(self) -> None:
        self.taken.clear()
        self.restarts += 1

    def take(self, rows: list[Row]) -> Any:
        self.taken.append(rows)
        self._then()
        return asyncio.sleep(0) if self.awaited else None


class Hanging(Batches):
    """A sink that never has taken its batch."""

    def __init__(self) -> None:
        super().__init__(awaited=True)
        self.began = asyncio.Event()

    async def take(self, rows: list[Row]) -> None:
        self.began.set()
        await asyncio.Event().wait()


def in_batches(owner: str, sink: Batches) -> Op[list[Row]]:
    return list_tasks(owner).with_result(list, sink)


def add_tasks(admin: psycopg.Connection, owner: str, number: int, length: int = 10) -> None:
    admin.execute(
        "INSERT INTO tasks (user_id, id, title, description) "
        "SELECT %s, gen_random_uuid(), 'task ' || n, repeat('x', %s) "
        "FROM generate_series(1, %s) AS n",
        [owner, length, number],
    )
