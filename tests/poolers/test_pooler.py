"""Ten thousand requests of many users through PgBouncer: no error, and no row of another user."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Barrier
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg.rows import dict_row

from support.api_server import Api, serving
from support.figures import Figure
from support.http_contract import Json, create
from support.pgbouncer import POOL_SIZES, Mode, running_pgbouncer

USERS = 25
# More than PgBouncer has to PostgreSQL, so connections of the server have to share.
SERVERS_POOL = "10"
REQUESTS = 10_000
MODES: list[Mode] = ["transaction", "session"]


@dataclass
class CheckingUser:
    """A user that sends requests, and records wrong answers and rows of other users."""

    api: Api
    user: str
    foreign: str
    sends: str = ""  # the user of the token, if another
    requests: int = 0
    errors: list[str] = field(default_factory=list)
    foreign_rows: list[object] = field(default_factory=list)

    def work(self, start: Barrier, requests: int) -> None:
        rng = random.Random(self.user)
        own: list[str] = []
        with self.api.client(self.sends or self.user) as client:

            def send(method: str, at: str, status: int, **body: str) -> Any:
                self.requests += 1
                answer = client.request(method, f"/api/tasks{at}", json=body or None)
                if answer.status_code != status:
                    self.errors.append(f"{method} {answer.status_code}: {answer.text}")
                    return None
                return answer.json() if answer.content else None

            start.wait()
            for turn in range(requests):
                task = f"/{rng.choice(own)}" if own else ""
                if turn % 5 == 0 or not own:
                    made = send("POST", "", 201, title=self.user)
                    own += [row["id"] for row in self._own_rows(made)]
                elif turn % 5 == 1:
                    found = {row["id"] for row in self._own_rows(send("GET", "", 200))}
                    self.foreign_rows += found ^ set(own)
                elif turn % 5 == 2:
                    how, more = rng.choice([("GET", ""), ("PATCH", "/complete")])
                    self._own_rows(send(how, f"{task}{more}", 200))
                elif turn % 5 == 3:
                    how, more = rng.choice([("GET", ""), ("PATCH", "/complete"), ("DELETE", "")])
                    send(how, f"/{self.foreign}{more}", 403)
                else:
                    send("DELETE", f"/{own.pop()}", 204)

    def _own_rows(self, found: Any) -> list[Json]:
        """Return the rows of an answer, after recording those of another user."""
        if found is None:
            return []
        rows: list[Json] = found if isinstance(found, list) else [found]
        expected = (self.user, self.user)
        self.foreign_rows += [row for row in rows if (row["user_id"], row["title"]) != expected]
        return rows


def load(users: list[CheckingUser], requests: int) -> None:
    start = Barrier(len(users), timeout=60)
    with ThreadPoolExecutor(len(users)) as threads:
        for done in [threads.submit(user.work, start, requests // len(users)) for user in users]:
            done.result()


@pytest.fixture
def victim(api: Api, make_user: Callable[[], str]) -> str:
    """A task of a user who sends no requests."""
    with api.client(make_user()) as client:
        return str(create(client)["id"])


@pytest.fixture
def users(make_user: Callable[[], str]) -> list[str]:
    return [make_user() for _ in range(USERS)]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def console(pooled_url: str, command: str) -> list[Json]:
    """Return the rows of a console command of PgBouncer, without those of the console itself."""
    at = urlunsplit(urlsplit(pooled_url)._replace(path="/pgbouncer"))
    with psycopg.connect(at, autocommit=True, row_factory=dict_row) as connection:
        found = connection.execute(command.encode()).fetchall()
    return [row for row in found if row["database"] == urlsplit(pooled_url).path[1:]]


@pytest.mark.parametrize("mode", MODES)
def test_ten_thousand_requests_get_no_error_and_no_foreign_row(
    mode: Mode, url: str, users: list[str], victim: str, log: Path, figure: Figure
) -> None:
    settings = {
        "TASKAPI_POOL_SIZE": SERVERS_POOL,
        "TASKAPI_TRANSACTION_POOLER": str(mode == "transaction").lower(),
    }
    with running_pgbouncer(url, mode) as route, serving(route(url), log, settings) as api:
        checking = [CheckingUser(api, user, victim) for user in users]
        load(checking, REQUESTS)
        (stats,) = console(route(url), "SHOW STATS")
        connections = len(console(route(url), "SHOW SERVERS"))
        clients = len(console(route(url), "SHOW CLIENTS"))
        assert api.stop() == 0
    assert sum(user.requests for user in checking) == REQUESTS
    assert [error for user in checking for error in user.errors] == []
    assert [row for user in checking for row in user.foreign_rows] == []
    # The requests went through PgBouncer, and over fewer connections than it had clients.
    assert stats["total_xact_count"] >= REQUESTS
    assert 1 <= connections <= POOL_SIZES[mode]
    if mode == "transaction":
        assert connections < clients
    figure(f"{mode} pooler: {REQUESTS} requests by {USERS}, {clients} to {connections} connections")


@pytest.mark.parametrize("setting", ["", "false"])
def test_a_transaction_pooler_that_is_not_known_costs_a_warning_and_no_request(
    setting: str, url: str, users: list[str], victim: str, log: Path
) -> None:
    """The name of its host does not say what it is; `test_prepared.py` has the control."""
    settings = {"TASKAPI_POOL_SIZE": SERVERS_POOL, "TASKAPI_TRANSACTION_POOLER": setting}
    with running_pgbouncer(url, "transaction") as route, serving(route(url), log, settings) as api:
        checking = [CheckingUser(api, user, victim) for user in users]
        load(checking, 40 * USERS)
        assert api.stop() == 0
    assert [error for user in checking for error in user.errors] == []
    assert [row for user in checking for row in user.foreign_rows] == []
    assert log.read_text().count("Set TASKAPI_TRANSACTION_POOLER=true") == 1


def test_a_foreign_row_is_recorded(api: Api, alice: str, bob: str, victim: str) -> None:
    """The control: Alice's requests with Bob's token get Bob's tasks."""
    with_wrong_token = CheckingUser(api, alice, victim, sends=bob)
    load([with_wrong_token], 3)
    assert len(with_wrong_token.foreign_rows) == 2 + 1  # created, listed, and read
