"""Users who are deleted during their requests get 401 from then on; none of their tasks is left."""

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

DELETED, KEPT = (48, 8) if FULL else (12, 4)
UNKNOWN = (401, "user_unknown")
# The answers that are correct before the deletion.
EXPECTED = {(200, ""), (201, ""), (204, ""), (404, "task_not_found")}


class DeletedUser:
    """A user who sends requests of all kinds; the answers are only recorded."""

    def __init__(self, user: str) -> None:
        self.id = user
        self.answers: list[Answer] = []
        # The times at which the deletion began and had been committed.
        self.delete_began = self.delete_ended = float("inf")
        self._rng = random.Random(user)
        self._tasks: list[str] = []

    def work(self, api: Api, stopping: threading.Event) -> None:
        with api.client(self.id) as client:
            while not stopping.wait(0.002):
                self.answers.append(send(lambda: self._one(client)))

    def _one(self, client: httpx.Client) -> httpx.Response:
        if len(self._tasks) < 3 or self._rng.random() < 0.3:
            key = {"Idempotency-Key": uuid4().hex}
            made = client.post("/api/tasks", json={"title": marked_title()}, headers=key)
            if made.status_code == 201:
                self._tasks.append(f"/api/tasks/{made.json()['id']}")
            return made
        path = self._rng.choice(self._tasks)
        method = self._rng.choice(["GET", "LIST", "PUT", "PATCH", "DELETE"])
        if method == "LIST":
            return client.get("/api/tasks")
        if method == "PATCH":
            return client.patch(f"{path}/complete")
        if method == "DELETE":
            self._tasks.remove(path)
        return client.request(
            method, path, json={"title": marked_title()} if method == "PUT" else None
        )


@contextmanager
def working(deleted: list[DeletedUser], api: Api) -> Iterator[None]:
    stopping = threading.Event()
    with ThreadPoolExecutor(len(deleted)) as pool:
        futures = [pool.submit(user.work, api, stopping) for user in deleted]
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


def test_users_deleted_at_any_moment_get_401_from_then_on(
    serve: Serve, admin: psycopg.Connection, make_user: Callable[[], str], url: str, figure: Figure
) -> None:
    writers = [Writer(make_user()) for _ in range(KEPT)]
    deleted = [DeletedUser(make_user()) for _ in range(DELETED)]
    users = [user.id for user in deleted]
    with serve() as api:
        with writing(writers, lambda: api.base), working(deleted, api):
            for user in deleted:
                wanted = len(user.answers) + random.Random(user.id).randint(1, 10)
                wait_until(lambda w=user, n=wanted: len(w.answers) >= n, "work")  # type: ignore[misc]
                assert stored(admin, [user.id]) > 0
                user.delete_began = monotonic()
                admin.execute("DELETE FROM users WHERE id = %s", [user.id])
                user.delete_ended = monotonic()
            last = [user.delete_ended for user in deleted]
            for user in deleted:
                wait_until(lambda w=user: w.answers[-1].began > max(last), "a later answer")  # type: ignore[misc]
        log = api.log.read_text()
    before = Counter(
        (a.status, a.code) for w in deleted for a in w.answers if a.ended < w.delete_began
    )
    during = [
        (a.status, a.code)
        for w in deleted
        for a in w.answers
        if a.began <= w.delete_ended and a.ended >= w.delete_began
    ]
    after = Counter(
        (a.status, a.code) for w in deleted for a in w.answers if a.began > w.delete_ended
    )
    assert set(before) <= EXPECTED
    assert set(during) <= EXPECTED | {UNKNOWN}
    assert set(after) == {UNKNOWN}
    assert stored(admin, users) == 0
    assert "traceback" not in log
    # Control: the other users are refused nothing, and lose no task.
    assert [writer.refused for writer in writers if writer.refused] == []
    assert all(writer.acknowledged.total() for writer in writers)
    assert differences(writers, url) == {"lost": [], "doubled": [], "torn": []}
    figure(
        f"{DELETED} users deleted: {before.total()} answers before, {len(during)} during the "
        f"deletion, {after.total()} afterwards, all 401; 0 tasks left"
    )


REQUESTS: dict[str, Callable[[httpx.Client, str], httpx.Response]] = {
    "create": lambda client, _: client.post("/api/tasks", json={"title": marked_title()}),
    "update": lambda client, path: client.put(path, json={"title": marked_title()}),
    "complete": lambda client, path: client.patch(f"{path}/complete"),
    "delete": lambda client, path: client.delete(path),
}


@pytest.mark.parametrize("committed", [True, False], ids=["committed", "rolled back"])
@pytest.mark.parametrize("name", REQUESTS)
def test_a_change_waits_for_the_deletion_of_its_user(
    name: str,
    committed: bool,
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
        path = f"/api/tasks/{create(client, title=marked_title())['id']}"
        deleting.execute("DELETE FROM users WHERE id = %s", [alice])
        waiting = pool.submit(REQUESTS[name], client, path)
        wait_for_blocked()
        if committed:
            deleting.commit()
            problem(waiting.result(30), "user_unknown")
            problem(client.get(path), "user_unknown")
            assert stored(admin, [alice]) == 0
        else:
            deleting.rollback()
            assert waiting.result(30).is_success
            assert stored(admin, [alice]) == {"create": 2, "delete": 0}.get(name, 1)


def test_a_task_without_its_user_is_counted(admin: psycopg.Connection, alice: str) -> None:
    """Control: a row is inserted past the foreign key."""
    with admin.transaction():
        admin.execute("SET LOCAL session_replication_role = replica")
        admin.execute(
            "INSERT INTO tasks (user_id, id, title) VALUES (%s, %s, 'one')", [alice, uuid4()]
        )
        admin.execute("DELETE FROM users WHERE id = %s", [alice])
    assert stored(admin, [alice]) == 1
    admin.execute("DELETE FROM tasks WHERE user_id = %s", [alice])
