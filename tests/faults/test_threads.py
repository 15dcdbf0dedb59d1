"""Many threads share one `Database` while its connections are cut."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from faults.faulty_proxy import FaultyProxy
from support.figures import FULL, Figure
from taskcore import (
    Database,
    DatabaseUnavailable,
    Op,
    TaskCreate,
    TaskRead,
    create_task,
    list_tasks,
    toggle_task,
)

THREADS = 32
TURNS = 200 if FULL else 30
CUTS = 10 if FULL else 3


def test_threads_share_a_database_whose_connections_are_cut(
    faulty_proxy: FaultyProxy, faulty_url: str, make_user: Callable[[], str], figure: Figure
) -> None:
    ends: Counter[str] = Counter()
    turns, refused = threading.Semaphore(0), threading.Event()
    start = threading.Barrier(THREADS + 1, timeout=60)

    def work(owner: str) -> Counter[str]:
        mine: Counter[str] = Counter()
        task = database.run(create_task(owner, TaskCreate(title=owner))).id
        start.wait()
        for turn in range(TURNS):
            try:
                op: Op[Any] = list_tasks(owner) if turn % 2 else toggle_task(owner, task)
                found = database.run(op)
            except DatabaseUnavailable:
                mine["unavailable"] += 1
                refused.set()
            else:
                mine["done"] += 1
                rows: list[TaskRead] = found if isinstance(found, list) else [found]
                assert {(row.user_id, row.title) for row in rows} == {(owner, owner)}
            turns.release()
        return mine

    owners = [make_user() for _ in range(THREADS)]
    with (
        Database(faulty_url, min_size=4, max_size=4, timeout=30) as database,
        ThreadPoolExecutor(THREADS) as threads,
    ):
        working = [threads.submit(work, owner) for owner in owners]
        start.wait()
        for _ in range(CUTS):
            for _ in range(THREADS * TURNS // (CUTS + 2)):
                assert turns.acquire(timeout=60)
            faulty_proxy.cut()
        # A cut that meets reads only refuses nothing, because they are repeated.
        for _ in range(THREADS):
            if not refused.is_set():
                assert turns.acquire(timeout=60)
                faulty_proxy.cut()
        for future in working:
            ends += future.result(120)
        for owner in owners:
            assert len(database.run(list_tasks(owner))) == 1
    assert ends.total() == THREADS * TURNS
    # Control: the cuts were noticed, and most operations succeeded.
    assert 0 < ends["unavailable"] < ends["done"]
    assert faulty_proxy.connections > 4
    figure(f"{THREADS} threads, {CUTS} cuts: {ends['done']} done, {ends['unavailable']} refused")
