"""Users who are deleted while they work: 401 from then on, and nothing of theirs stays."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from time import monotonic
from uuid import uuid4

import httpx
import psycopg
import pytest

from faults.writers import Writer, differences, writing
from support.api_server import Api, Serve
from support.figures import FULL, Figure
from support.forbidden_text import marked_title
from support.http_contract import create, problem
from support.load import Answer, send
from support.polling import wait_until
from support.row_locks import WaitForBlocked

VANISHING, STAYING = (48, 8) if FULL else (12, 4)
UNKNOWN = (401, "user_unknown")
# What an answer may be that was under way at the moment itself.
WELL = {(200, ""), (201, ""), (204, ""), (404, "task_not_found")}


class Worker:
    """A user who does everything, and whom nobody asks whether it went well."""

    def __init__(self, user: str) -> None:
        self.user = user
        self.answers: list[Answer] = []
        # When the deletion began, and when it had been committed.
        self.going = self.gone = float("inf")
        self._chance = random.Random(user)
        self._tasks: list[str] = []

    def work(self, api: Api, stopping: threading.Event) -> None:
        with api.client(self.user) as client:
            while not stopping.wait(0.002):
                self.answers.append(send(lambda: self._one(client)))

    def _one(self, client: httpx.Client) -> httpx.Response:
        if len(self._tasks) < 3 or self._chance.random() < 0.3:
            key = {"Idempotency-Key": uuid4().hex}
            made = client.post("/api/tasks", json={"title": marked_title()}, headers=key)
            if made.status_code == 201:
                self._tasks.append(f"/api/tasks/{made.json()['id']}")
            return made
        at = self._chance.choice(self._tasks)
        method = self._chance.choice(["GET", "LIST", "PUT", "PATCH", "DELETE"])
        if method == "LIST":
            return client.get("/api/tasks")
        if method == "PATCH":
            return client.patch(f"{at}/complete")
        if method == "DELETE":
            self._tasks.remove(at)
        return client.request(
            method, at, json={"title": marked_title()} if method == "PUT" else None
        )


@contextmanager
def at_work(workers: list[Worker], api: Api) -> Iterator[None]:
    stopping = threading.Event()
    with ThreadPoolExecutor(len(workers)) as pool:
        futures = [pool.submit(worker.work, api, stopping) for worker in workers]
        try:
            yield
        finally:
            stopping.set()
    for future in futures:
        future.result()


def stored(admin: psycopg.Connection, users: list[str]) -> int:
    row = admin.execute("SELECT count(*) FROM tasks WHERE user_id = ANY (%s)", [users]).fetchone()
    assert row
    return int(row[0])


def test_users_vanish_at_any_moment_of_their_work(
    serve: Serve, admin: psycopg.Connection, make_user: Callable[[], str], url: str, figure: Figure
) -> None:
    writers = [Writer(make_user()) for _ in range(STAYING)]
    workers = [Worker(make_user()) for _ in range(VANISHING)]
    users = [worker.user for worker in workers]
    with serve() as api:
        with writing(writers, lambda: api.base), at_work(workers, api):
            for worker in workers:
                wanted = len(worker.answers) + random.Random(worker.user).randint(1, 10)
                wait_until(lambda w=worker, n=wanted: len(w.answers) >= n, "work")  # type: ignore[misc]
                assert stored(admin, [worker.user]) > 0
                worker.going = monotonic()
                admin.execute("DELETE FROM users WHERE id = %s", [worker.user])
                worker.gone = monotonic()
            last = [worker.gone for worker in workers]
            for worker in workers:
                wait_until(lambda w=worker: w.answers[-1].began > max(last), "the last word")  # type: ignore[misc]
        log = api.log.read_text()
    before = Counter((a.status, a.code) for w in workers for a in w.answers if a.ended < w.going)
    during = [
        (a.status, a.code)
        for w in workers
        for a in w.answers
        if a.began <= w.gone and a.ended >= w.going
    ]
    after = Counter((a.status, a.code) for w in workers for a in w.answers if a.began > w.gone)
    assert set(before) <= WELL
    assert set(during) <= WELL | {UNKNOWN}
    assert set(after) == {UNKNOWN}
    assert stored(admin, users) == 0
    assert "traceback" not in log
    # The control: those who stay are refused nothing, and keep everything.
    assert [writer.refused for writer in writers if writer.refused] == []
    assert all(writer.acknowledged.total() for writer in writers)
    assert differences(writers, url) == {"lost": [], "doubled": [], "torn": []}
    figure(
        f"{VANISHING} users vanished: {before.total()} answers before, {len(during)} at the "
        f"moment, {after.total()} afterwards, all 401; 0 tasks left"
    )


REQUESTS: dict[str, Callable[[httpx.Client, str], httpx.Response]] = {
    "create": lambda client, _: client.post("/api/tasks", json={"title": marked_title()}),
    "update": lambda client, at: client.put(at, json={"title": marked_title()}),
    "complete": lambda client, at: client.patch(f"{at}/complete"),
    "delete": lambda client, at: client.delete(at),
}


@pytest.mark.parametrize("vanishes", [True, False], ids=["vanishes", "stays after all"])
@pytest.mark.parametrize("name", REQUESTS)
def test_a_change_that_waits_for_the_end_of_its_user(
    name: str,
    vanishes: bool,
    api: Api,
    alice: str,
    url: str,
    admin: psycopg.Connection,
    wait_for_blocked: WaitForBlocked,
) -> None:
    with (
        api.client(alice) as client,
        ThreadPoolExecutor(1) as pool,
        psycopg.connect(url) as deleting,
    ):
        at = f"/api/tasks/{create(client, title=marked_title())['id']}"
        deleting.execute("DELETE FROM users WHERE id = %s", [alice])
        waiting = pool.submit(REQUESTS[name], client, at)
        wait_for_blocked()
        if vanishes:
            deleting.commit()
            problem(waiting.result(30), "user_unknown")
            problem(client.get(at), "user_unknown")
            assert stored(admin, [alice]) == 0
        else:
            deleting.rollback()
            assert waiting.result(30).is_success
            assert stored(admin, [alice]) == {"create": 2, "delete": 0}.get(name, 1)


def test_a_task_without_its_user_is_seen(admin: psycopg.Connection, alice: str) -> None:
    """The control: a row that no foreign key has stopped."""
    with admin.transaction():
        admin.execute("SET LOCAL session_replication_role = replica")
        admin.execute(
            "INSERT INTO tasks (user_id, id, title) VALUES (%s, %s, 'one')", [alice, uuid4()]
        )
        admin.execute("DELETE FROM users WHERE id = %s", [alice])
    assert stored(admin, [alice]) == 1
    admin.execute("DELETE FROM tasks WHERE user_id = %s", [alice])
