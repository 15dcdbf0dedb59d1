"""Better Auth itself, as a Node process on the database of a test, and who signs up there."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, TypeAlias
from uuid import uuid4

import httpx
import pytest

from fix_api import SECRET, Api, free_port, serving
from taskcore import schema

PROGRAM = Path(__file__).parent / "better_auth" / "main.mjs"
PASSWORD = "a password of the tests"


class BetterAuth:
    """A running server."""

    def __init__(self, base: str, database_url: str, place: Path) -> None:
        self.base = base
        self.database_url = database_url
        self.place = place
        self.accounts: list[Account] = []

    def sign_up(self) -> Account:
        """A new user."""
        self.accounts.append(Account(self))
        return self.accounts[-1]

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.base, headers={"Origin": self.base}, timeout=30)

    def ask(self, door: str, **body: Any) -> Any:
        """What one of the doors that exist for tests answers."""
        with self.client() as client:
            return client.post(door, json=body).raise_for_status().json()

    def api(self, **settings: str) -> AbstractContextManager[Api]:
        """A server of ours, on the same database, that trusts this one."""
        log = self.place / f"api-{uuid4().hex}.log"
        return serving(self.database_url, log, {"BETTER_AUTH_URL": self.base, **settings})


class Account:
    """Somebody who has just signed up: the session is in the cookies, as a browser has it."""

    def __init__(self, auth: BetterAuth) -> None:
        self.email = f"{uuid4().hex}@example.com"
        self.http = auth.client()
        body = {"name": "Somebody", "email": self.email, "password": PASSWORD}
        self.id: str = self.post("sign-up/email", body)["user"]["id"]

    def get(self, path: str) -> Any:
        return self.http.get(f"/api/auth/{path}").raise_for_status().json()

    def post(self, path: str, body: dict[str, Any]) -> Any:
        return self.http.post(f"/api/auth/{path}", json=body).raise_for_status().json()

    def token(self) -> str:
        """A new API token, as the jwt plugin issues them."""
        token: str = self.get("token")["token"]
        return token


def bearing(api: Api, token: str) -> httpx.Client:
    """A client that sends this token."""
    return api.client(Authorization=f"Bearer {token}")


@contextmanager
def better_auth(
    database_url: str, place: Path, settings: Mapping[str, str], program: Path = PROGRAM
) -> Iterator[BetterAuth]:
    """A server that has made its own tables, to which taskcore has then added the tasks."""
    node = shutil.which("node")
    prepared = all((path.parent / "node_modules").is_dir() for path in (PROGRAM, program))
    if node is None or not prepared:
        pytest.fail("needs Node, and `npm ci` in the folder: the nox sessions see to both")
    port = settings.get("PORT") or str(free_port())
    auth = BetterAuth(f"http://localhost:{port}", database_url, place)
    environment = {
        **os.environ,
        "DATABASE_URL": database_url,
        "BETTER_AUTH_SECRET": SECRET,
        "BETTER_AUTH_URL": auth.base,
        "PORT": port,
        **settings,
    }
    log = place / "better-auth.log"
    with log.open("wb") as file:
        process = subprocess.Popen([node, program], env=environment, stdout=file, stderr=file)
    try:
        _wait_until_alive(auth, process, log)
        schema.upgrade(database_url)
        yield auth
    finally:
        for account in auth.accounts:
            account.http.close()
        process.kill()
        process.wait(30)


def _wait_until_alive(auth: BetterAuth, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            httpx.get(f"{auth.base}/api/auth/ok", timeout=5).raise_for_status()
            return
        except httpx.TransportError:
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"Better Auth did not start:\n{log.read_text()}")
            time.sleep(0.02)


StartAuth: TypeAlias = Callable[..., AbstractContextManager[BetterAuth]]


@pytest.fixture
def start_auth(empty_url: str, tmp_path: Path) -> StartAuth:
    """On this test's own database: `with start_auth(KEY_ALGORITHM="ES256") as auth`."""

    def start(**settings: str) -> AbstractContextManager[BetterAuth]:
        return better_auth(empty_url, tmp_path, settings)

    return start
