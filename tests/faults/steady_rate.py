"""Requests at a steady rate, which do not wait for earlier answers."""

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
    """The answers received so far."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []

    def wait_for_more(self, number: int = RATE // 2) -> None:
        wanted = len(self.answers) + number
        wait_until(lambda: len(self.answers) >= wanted, f"{number} more answers")

    @property
    def outcomes(self) -> set[tuple[int, str]]:
        return {(answer.status, answer.code) for answer in list(self.answers)}

    @property
    def slowest(self) -> float:
        return max(answer.seconds for answer in list(self.answers))


@contextmanager
def steady_requests(base: str, user: str) -> Iterator[SteadyRequests]:
    """Send reads and writes of one user, `RATE` a second, until the block ends."""
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

        def send_in_turn(number: int) -> None:
            # The clients start one after another, `1 / RATE` s apart.
            pause = number / RATE
            while not over.wait(pause):
                seen.answers.append(send(requests[number % len(requests)]))
                pause = CLIENTS / RATE

        with ThreadPoolExecutor(CLIENTS) as threads:
            working = [threads.submit(send_in_turn, number) for number in range(CLIENTS)]
            try:
                yield seen
            finally:
                over.set()
            for future in working:
                future.result(60)
