"""A program that throws exceptions into a blocking Database at random moments, and reports.

    python interrupted.py URL OWNER INTERRUPTS

Four threads share the pool of 3 with the main thread, which alone gets the exceptions: so it also
waits for connections, and its own are closed and made again. It prints JSON.
"""

from __future__ import annotations

import json
import random
import signal
import sys
import threading
from typing import Any

from taskcore import Database, DatabaseUnavailable, Op, TaskcoreError, list_tasks
from taskcore.execution.op import Row, Steps, rows
from taskcore.tasks import operations

POOL = 3


class Interrupted(Exception):
    """What a handler of a signal raises: a soft time limit, for example."""


def interrupt(*_: object) -> None:
    raise Interrupted


def all_together(database: Database, owner: str) -> bool:
    """Whether as many operations as the pool has places hold a connection at one moment."""
    barrier = threading.Barrier(POOL)
    met: list[bool] = []

    def steps(owner: str) -> Steps[list[Row]]:
        yield from rows(operations._LIST, owner=owner)
        barrier.wait(30)
        met.append(True)
        return (yield from rows(operations._LIST, owner=owner))

    threads = [
        threading.Thread(target=database.run, args=[Op(owner, steps, (), list)])
        for _ in range(POOL)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return met == [True] * POOL


def main(url: str, owner: str, wanted: int) -> dict[str, Any]:
    signal.signal(signal.SIGALRM, interrupt)
    chance = random.Random(0)
    interrupts = done = unavailable = others = 0
    stop = threading.Event()
    failures: list[str] = []

    with Database(url, min_size=POOL, max_size=POOL, timeout=60) as database:

        def work() -> None:
            nonlocal others
            while not stop.is_set():
                try:
                    database.run(list_tasks(owner))
                    others += 1
                except TaskcoreError as error:
                    failures.append(repr(error))

        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        while interrupts < wanted:
            try:
                signal.setitimer(signal.ITIMER_REAL, chance.uniform(0.00001, 0.004))
                database.run(list_tasks(owner))
                done += 1
                signal.setitimer(signal.ITIMER_REAL, 0)
            except Interrupted:
                interrupts += 1
            except DatabaseUnavailable:
                unavailable += 1
        signal.setitimer(signal.ITIMER_REAL, 0)
        stop.set()
        for thread in threads:
            thread.join(60)
        together = all_together(database, owner)
        size = database.stats()["pool_size"]
    return {
        "interrupts": interrupts,
        "done": done,
        "unavailable": unavailable,
        "others": others,
        "failures": failures[:5],
        "all_together": together,
        "pool_size": size,
    }


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
