"""Load on an API: threads that send requests without a pause, and record every answer."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import TypeAlias

import httpx

from support.api_server import Api
from support.forbidden_text import MARK, check_answer
from support.http_contract import create
from support.polling import wait_until


@dataclass(frozen=True)
class Answer:
    """What a request came to; status 0 if there was no answer at all."""

    began: float
    ended: float
    status: int
    code: str
    retry_after: str | None

    @property
    def seconds(self) -> float:
        return self.ended - self.began


Request: TypeAlias = Callable[[], httpx.Response]


def send(request: Request) -> Answer:
    began = monotonic()
    try:
        response = request()
    except httpx.TransportError as error:
        return Answer(began, monotonic(), 0, repr(error), None)
    problem = response.status_code >= 400
    check_answer(response)
    code = response.json().get("code", "") if problem else ""
    retry_after = response.headers.get("retry-after")
    return Answer(began, monotonic(), response.status_code, code, retry_after)


class Load:
    """The answers that the users of a test were given; each user has a task to begin with."""

    def __init__(self, api: Api, users: list[str]) -> None:
        self.answers: list[Answer] = []
        self.health: list[tuple[str, Answer]] = []
        self._api = api
        self._stopping = threading.Event()
        self._ready = threading.Barrier(len(users) + 1, timeout=60)
        self._threads = [threading.Thread(target=self._work, args=(user,)) for user in users]
        self._threads.append(threading.Thread(target=self._watch))

    def counts(self, since: float = 0.0) -> Counter[tuple[int, str]]:
        return Counter((a.status, a.code) for a in list(self.answers) if a.began >= since)

    def wait_for(self, number: int, since: float, code: str | None = None) -> None:
        """Until so many have been answered who asked since then."""

        def reached() -> bool:
            found = [a for a in list(self.answers) if a.began >= since]
            return sum(code is None or a.code == code for a in found) >= number

        wait_until(reached, f"{number} answers")

    def wait_for_health(self, path: str, status: int, since: float) -> None:
        def seen() -> bool:
            return any(
                p == path and a.status == status and a.began >= since for p, a in list(self.health)
            )

        wait_until(seen, f"{path} with {status}")

    def first_success(self, since: float) -> float:
        """Seconds from then to the first answer that is none of an outage."""

        def ended() -> list[float]:
            return [
                a.ended for a in list(self.answers) if a.ended > since and a.status in (200, 201)
            ]

        wait_until(lambda: bool(ended()), "a success")
        return min(ended()) - since

    def _work(self, user: str) -> None:
        chance = random.Random(user)
        with self._api.client(user) as client:
            kept = f"/api/tasks/{create(client, title=MARK)['id']}"
            self._ready.wait()
            requests: list[Request] = [
                lambda: client.get("/api/tasks"),
                lambda: client.get(kept),
                lambda: client.put(kept, json={"title": f"changed {MARK}"}),
                lambda: client.patch(f"{kept}/complete"),
            ]
            while not self._stopping.is_set():
                self.answers.append(send(chance.choice(requests)))
                self._stopping.wait(0.005)

    def _watch(self) -> None:
        with self._api.client() as client:
            while not self._stopping.wait(0.02):
                for path in ("/health/live", "/health/ready"):
                    answer = send(lambda path=path: client.get(path))  # type: ignore[misc]
                    self.health.append((path, answer))

    @contextmanager
    def running(self) -> Iterator[None]:
        for thread in self._threads:
            thread.start()
        try:
            # The first task of each user is made before any outage.
            self._ready.wait()
            yield
        finally:
            self._stopping.set()
            for thread in self._threads:
                thread.join(60)
