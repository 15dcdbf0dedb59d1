"""Operations cancelled at any moment lose no connection and mix no answers."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from itertools import count
from typing import Any

import psycopg

from support.figures import FULL, Figure
from support.polling import wait_until
from taskcore import AsyncDatabase, Op, TaskCreate, TaskRead, create_task, list_tasks, toggle_task

CANCELLED = 10_000 if FULL else 300
CLIENTS = 16
POOL = 4


async def test_cancelled_operations_lose_no_slot_and_return_no_foreign_row(
    url: str, make_user: Callable[[], str], admin: psycopg.Connection, figure: Figure
) -> None:
    ends: Counter[str] = Counter()
    rng = random.Random(0)
    async with AsyncDatabase(url, min_size=POOL, max_size=POOL, timeout=30) as database:

        async def client(owner: str) -> None:
            task = (await database.run(create_task(owner, TaskCreate(title=owner)))).id
            for turn in count():
                if ends["cancelled"] >= CANCELLED:
                    return
                op: Op[Any] = list_tasks(owner) if turn % 2 else toggle_task(owner, task)
                running = asyncio.create_task(database.run(op))
                if rng.random() < 0.8:
                    loop = asyncio.get_running_loop()
                    loop.call_later(rng.random() * 0.008, running.cancel)
                try:
                    found = await running
                except asyncio.CancelledError:
                    ends["cancelled"] += 1
                    continue
                ends["done"] += 1
                rows: list[TaskRead] = found if isinstance(found, list) else [found]
                assert {(row.user_id, row.title) for row in rows} == {(owner, owner)}

        async with asyncio.TaskGroup() as group:
            owners = [make_user() for _ in range(CLIENTS)]
            for owner in owners:
                group.create_task(client(owner))
        assert ends["done"] > CANCELLED / 10, (
            "too few operations finished before their cancellation"
        )
        await _all_slots_work(database, owners, admin)
        assert database.stats()["pool_size"] == POOL
    figure(
        f"cancellation: {ends['cancelled']} of {ends.total()} operations cancelled, 0 slots lost"
    )


async def _all_slots_work(
    database: AsyncDatabase, owners: list[str], admin: psycopg.Connection
) -> None:
    """Run as many operations at once as the pool has slots; each one reaches the database."""
    tasks = [(await database.run(list_tasks(owner)))[0] for owner in owners[:POOL]]
    with psycopg.connect(admin.info.dsn, password=admin.info.password) as holder:
        holder.execute("SELECT FROM tasks WHERE id = ANY (%s) FOR UPDATE", [[t.id for t in tasks]])
        running = [
            asyncio.create_task(database.run(toggle_task(task.user_id, task.id))) for task in tasks
        ]
        await asyncio.to_thread(wait_until, lambda: _locked(admin) >= POOL, "the use of all slots")
        holder.rollback()
        await asyncio.gather(*running)


def _locked(admin: psycopg.Connection) -> int:
    row = admin.execute(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    ).fetchone()
    return int(row[0]) if row else 0
