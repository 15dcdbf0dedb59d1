"""People who ask at a steady rate, whether or not the others have been answered."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx

from fix_api import token
from fix_contract import create
from fix_load import Answer, Request, ask
from fix_schema import wait_until

RATE = 20
PEOPLE = 40


class Traffic:
    """What they were told."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []

    def wait_for_more(self, number: int = RATE // 2) -> None:
        wanted = len(self.answers) + number
        wait_until(lambda: len(self.answers) >= wanted, f"{number} more answers")

    @property
    def told(self) -> set[tuple[int, str]]:
        return {(answer.status, answer.code) for answer in list(self.answers)}

    @property
    def slowest(self) -> float:
        return max(answer.seconds for answer in list(self.answers))


@contextmanager
def traffic(base: str, user: str) -> Iterator[Traffic]:
    """Reads and writes of one user's, `RATE` a second."""
    seen, over = Traffic(), threading.Event()
    headers = {"Authorization": f"Bearer {token(user)}"}
    limits = httpx.Limits(max_connections=PEOPLE + 1)
    with httpx.Client(base_url=base, headers=headers, timeout=30, limits=limits) as client:
        kept = f"/api/tasks/{create(client)['id']}"
        requests: list[Request] = [
            lambda: client.get(kept),
            lambda: client.post("/api/tasks", json={"title": "one"}),
            lambda: client.put(kept, json={"title": "changed"}),
            lambda: client.get("/health/ready"),
        ]

        def live(number: int) -> None:
            # Everybody begins at another moment.
            pause = number / RATE
            while not over.wait(pause):
                seen.answers.append(ask(requests[number % len(requests)]))
                pause = PEOPLE / RATE

        with ThreadPoolExecutor(PEOPLE) as threads:
            working = [threads.submit(live, number) for number in range(PEOPLE)]
            try:
                yield seen
            finally:
                over.set()
            for future in working:
                future.result(60)
