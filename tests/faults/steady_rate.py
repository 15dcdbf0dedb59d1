"""Requests at a steady rate, whether or not earlier ones have been answered."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx

from support.api_server import token
from support.http_contract import create
from support.load import Answer, Request, send
from support.polling import wait_until

RATE = 20
CLIENTS = 40


class SteadyRequests:
    """The answers so far."""

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
def steady_requests(base: str, user: str) -> Iterator[SteadyRequests]:
    """Reads and writes of one user's, `RATE` a second."""
    seen, over = SteadyRequests(), threading.Event()
    headers = {"Authorization": f"Bearer {token(user)}"}
    limits = httpx.Limits(max_connections=CLIENTS + 1)
    with httpx.Client(base_url=base, headers=headers, timeout=30, limits=limits) as client:
        kept = f"/api/tasks/{create(client)['id']}"
        requests: list[Request] = [
            lambda: client.get(kept),
            lambda: client.post("/api/tasks", json={"title": "one"}),
            lambda: client.put(kept, json={"title": "changed"}),
            lambda: client.get("/health/ready"),
        ]

        def live(number: int) -> None:
            # Each client begins at another moment.
            pause = number / RATE
            while not over.wait(pause):
                seen.answers.append(send(requests[number % len(requests)]))
                pause = CLIENTS / RATE

        with ThreadPoolExecutor(CLIENTS) as threads:
            working = [threads.submit(live, number) for number in range(CLIENTS)]
            try:
                yield seen
            finally:
                over.set()
            for future in working:
                future.result(60)
