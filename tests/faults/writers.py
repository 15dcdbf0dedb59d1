"""Writers create, change and delete tasks, and record every acknowledgement."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias
from uuid import uuid4

import httpx
import psycopg

from support.api_server import token
from support.forbidden_text import check_answer, marked_title
from support.http_contract import Json

# The state of a task: (title, completed), or None if it is deleted.
State: TypeAlias = tuple[str, bool] | None


class Writer:
    """One user with one client; it repeats a create until it is acknowledged."""

    def __init__(self, user: str) -> None:
        self.user = user
        self.acknowledged: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        # The states that each task may have: the last one is acknowledged, the outcome of the
        # earlier ones is unknown.
        self.states: dict[str, list[State]] = {}
        # The title of a create that has no answer yet.
        self.pending_title: str | None = None
        self._rng = random.Random(user)

    def work(self, base: Callable[[], str], stopping: threading.Event) -> None:
        headers = {"Authorization": f"Bearer {token(self.user)}"}
        with httpx.Client(headers=headers, timeout=30) as client:
            while not stopping.wait(0.002):
                self._do(client, base, stopping)

    def _do(self, client: httpx.Client, base: Callable[[], str], stopping: threading.Event) -> None:
        known = [task for task, states in self.states.items() if states[-1] is not None]
        if len(known) < 3 or self._rng.random() < 0.4:
            self._create(client, base, stopping)
            return
        task = self._rng.choice(known)
        if self._rng.random() < 0.2:
            self._change(client, base, "DELETE", task, None)
        else:
            state = (marked_title(), self._rng.random() < 0.5)
            self._change(client, base, "PUT", task, state)

    def _create(
        self, client: httpx.Client, base: Callable[[], str], stopping: threading.Event
    ) -> None:
        made, key = marked_title(), uuid4().hex
        self.pending_title = made
        while True:
            answer = self._ask(client, base, "POST", "", {"title": made}, {"Idempotency-Key": key})
            if answer is not None and answer.status_code == 201:
                self.acknowledged["create"] += 1
                self.states[answer.json()["id"]] = [(made, False)]
                self.pending_title = None
                return
            if stopping.wait(0.01):  # the pause of a client before it retries
                return

    def _change(
        self,
        client: httpx.Client,
        base: Callable[[], str],
        method: str,
        task: str,
        state: State,
    ) -> None:
        body = None if state is None else {"title": state[0], "completed": state[1]}
        answer = self._ask(client, base, method, f"/{task}", body, {})
        if answer is not None and answer.status_code in (200, 204):
            self.acknowledged[method] += 1
            self.states[task] = [state]
        elif answer is not None and answer.status_code == 404:
            # The only possible cause is an earlier delete with an unknown outcome.
            assert None in self.states[task], "a task is missing that was never deleted"
            self.states[task] = [None]
        elif answer is None or answer.json()["code"] == "outcome_unknown":
            self.states[task].insert(0, state)

    def _ask(
        self,
        client: httpx.Client,
        base: Callable[[], str],
        method: str,
        more: str,
        body: Json | None,
        headers: dict[str, str],
    ) -> httpx.Response | None:
        """Return the answer, or None if the connection to the API ended without one."""
        try:
            answer = client.request(method, f"{base()}/api/tasks{more}", json=body, headers=headers)
        except httpx.TransportError as error:
            self.refused[type(error).__name__] += 1
            return None
        check_answer(answer)
        if answer.status_code >= 400:
            self.refused[f"{answer.status_code} {answer.json()['code']}"] += 1
        return answer


@contextmanager
def writing(writers: list[Writer], base: Callable[[], str]) -> Iterator[None]:
    """Run all writers, each in its thread, until the block ends."""
    stopping = threading.Event()
    failures: list[BaseException] = []

    def work(writer: Writer) -> None:
        try:
            writer.work(base, stopping)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(writer,)) for writer in writers]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopping.set()
        for thread in threads:
            thread.join(90)
    assert not failures, failures


def differences(writers: list[Writer], owner_url: str) -> dict[str, list[Any]]:
    """The tasks that were lost, that exist too often, and that are in no possible state."""
    lost, doubled, torn = [], [], []
    with psycopg.connect(owner_url) as admin:
        for writer in writers:
            query = "SELECT id::text, title, completed FROM tasks WHERE user_id = %s"
            stored = {row[0]: (row[1], row[2]) for row in admin.execute(query, [writer.user])}
            for task, states in writer.states.items():
                if task not in stored and None not in states:
                    lost.append(task)
                elif stored.get(task) not in states:
                    torn.append((task, stored.get(task), states))
            more = [task for task in stored if task not in writer.states]
            # The answer to one create may have been lost.
            doubled += [task for task in more if stored[task][0] != writer.pending_title]
            doubled += [task for task in more if stored[task][0] == writer.pending_title][1:]
    return {"lost": lost, "doubled": doubled, "torn": torn}
