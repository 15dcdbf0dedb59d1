"""Better Auth changes its key while clients send requests, and no request fails."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import jwt
import psycopg

from support.api_server import Api
from support.better_auth import BetterAuth, StartAuth, client_with_token
from support.http_contract import problem

PENDING = 30  # seconds; each wait normally takes a fraction of one


class Traffic:
    """Requests without a pause; records the key that each token names, and the answer's status."""

    def __init__(self, api: Api, next_tokens: list[Callable[[], str]]) -> None:
        self.answers: list[tuple[str, int]] = []
        self._changed = threading.Condition()
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._send, args=(api, next_token))
            for next_token in next_tokens
        ]

    def wait_for_more(self, key: str, number: int = 20) -> None:
        """Wait until this many more requests with tokens of this key have been answered."""
        wanted = self._count(key) + number
        with self._changed:
            assert self._changed.wait_for(lambda: self._count(key) >= wanted, PENDING), key

    def _count(self, key: str) -> int:
        return sum(1 for used, _ in list(self.answers) if used == key)

    def _send(self, api: Api, next_token: Callable[[], str]) -> None:
        with httpx.Client(base_url=api.base, timeout=PENDING) as client:
            while not self._over.is_set():
                token = next_token()
                headers = {"Authorization": f"Bearer {token}"}
                answer = client.get("/api/tasks", headers=headers)
                with self._changed:
                    self.answers.append((key_of(token), answer.status_code))
                    self._changed.notify_all()

    @contextmanager
    def running(self) -> Iterator[Traffic]:
        for thread in self._threads:
            thread.start()
        try:
            yield self
        finally:
            self._over.set()
            for thread in self._threads:
                thread.join(PENDING)


def key_of(token: str) -> str:
    return str(jwt.get_unverified_header(token)["kid"])


def age_keys(auth: BetterAuth, days: int) -> None:
    """Make the keys this many days older."""
    with psycopg.connect(auth.database_url) as connection:
        connection.execute(
            'UPDATE jwks SET "expiresAt" = "expiresAt" - make_interval(days => %s)', [days]
        )


def test_keys_rotate_under_load_and_no_request_fails(start_auth: StartAuth) -> None:
    with start_auth() as auth:
        account = auth.sign_up()
        old = account.token()
        with auth.api() as api:
            traffic = Traffic(api, [lambda: old, account.token])
            with traffic.running():
                traffic.wait_for_more(key_of(old), 40)
                age_keys(auth, days=31)
                new = auth.sign_up().token()
                assert key_of(new) != key_of(old)
                traffic.wait_for_more(key_of(new))
                traffic.wait_for_more(key_of(old))
            assert {status for _, status in traffic.answers} == {200}


def test_a_token_of_a_key_after_its_grace_period_is_refused(start_auth: StartAuth) -> None:
    with start_auth() as auth:
        account = auth.sign_up()
        old = account.token()
        age_keys(auth, days=31)
        new = account.token()
        with (
            auth.api() as api,
            client_with_token(api, old) as before,
            client_with_token(api, new) as after,
        ):
            assert before.get("/api/tasks").status_code == 200
            assert after.get("/api/tasks").status_code == 200
        age_keys(auth, days=30)
        newest = account.token()
        with (
            auth.api() as api,
            client_with_token(api, old) as before,
            client_with_token(api, newest) as after,
        ):
            problem(before.get("/api/tasks"), "token_invalid")
            assert after.get("/api/tasks").status_code == 200


def test_a_token_of_a_deleted_key_is_refused_after_the_next_fetch(
    start_auth: StartAuth,
) -> None:
    """A token that names an unknown key makes a running server fetch them."""
    with start_auth() as auth:
        account = auth.sign_up()
        old = account.token()
        with auth.api() as api, client_with_token(api, old) as before:
            assert before.get("/api/tasks").status_code == 200
            with psycopg.connect(auth.database_url) as connection:
                connection.execute("DELETE FROM jwks")
            with client_with_token(api, account.token()) as after:
                assert after.get("/api/tasks").status_code == 200
            problem(before.get("/api/tasks"), "token_invalid")
