"""Better Auth itself, as a Node process on the database of a test, and its users."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, TypeAlias
from uuid import uuid4

import httpx
import pytest

from support.api_server import SECRET, Api, serving
from support.polling import wait_until
from support.ports import free_port, listens
from taskcore import migrations

PROGRAM = Path(__file__).parents[1] / "better_auth" / "main.mjs"
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

    def ask(self, path: str, **body: Any) -> Any:
        """Call one of the endpoints that exist for tests; return its answer."""
        with self.client() as client:
            return client.post(path, json=body).raise_for_status().json()

    def api(self, **settings: str) -> AbstractContextManager[Api]:
        """A server of ours, on the same database, that trusts this one."""
        log = self.place / f"api-{uuid4().hex}.log"
        return serving(self.database_url, log, {"BETTER_AUTH_URL": self.base, **settings})


class Account:
    """A user who has just signed up: the session is in the cookies, as a browser has it."""

    def __init__(self, auth: BetterAuth) -> None:
        self.email = f"{uuid4().hex}@example.com"
        self.http = auth.client()
        body = {"name": "New User", "email": self.email, "password": PASSWORD}
        self.id: str = self.post("sign-up/email", body)["user"]["id"]

    def get(self, path: str) -> Any:
        return self.http.get(f"/api/auth/{path}").raise_for_status().json()

    def post(self, path: str, body: dict[str, Any]) -> Any:
        return self.http.post(f"/api/auth/{path}", json=body).raise_for_status().json()

    def token(self) -> str:
        """A new API token, as the jwt plugin issues them."""
        token: str = self.get("token")["token"]
        return token


def client_with_token(api: Api, token: str) -> httpx.Client:
    """A client that sends this token."""
    return api.client(Authorization=f"Bearer {token}")


@contextmanager
def running_better_auth(
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
        migrations.upgrade(database_url)
        yield auth
    finally:
        for account in auth.accounts:
            account.http.close()
        process.kill()
        process.wait(30)


def _wait_until_alive(auth: BetterAuth, process: subprocess.Popen[bytes], log: Path) -> None:
    port = httpx.URL(auth.base).port or 0

    def alive() -> bool:
        if process.poll() is not None:
            pytest.fail(f"Better Auth did not start:\n{log.read_text()}")
        # Node takes no socket, so another process may have the port: only ours is asked.
        if not listens(process.pid, port):
            return False
        try:
            httpx.get(f"{auth.base}/api/auth/ok", timeout=5).raise_for_status()
        except httpx.TransportError:
            return False
        return True

    wait_until(alive, "the first answer of Better Auth")


StartAuth: TypeAlias = Callable[..., AbstractContextManager[BetterAuth]]
