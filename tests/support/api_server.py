"""The API as production runs it: a process of `taskcli serve`, asked over HTTP.

It is forked from a process that has the imports done, see support/preloaded.py.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import jwt
import pytest

from support.pgbouncer import SERVER_SETTINGS, Route
from support.polling import wait_until
from support.ports import listening_socket, port_of
from support.preloaded import Process

SECRET = "the secret of the tests: as long as a real one"
ORIGIN = "http://localhost:3000"


def token(user: str, *, lifetime: float = 600, secret: str = SECRET, **claims: Any) -> str:
    """A token as a frontend signs it with the shared secret."""
    payload = {"sub": user, "exp": int(time.time() + lifetime), **claims}
    return jwt.encode({k: v for k, v in payload.items() if v is not None}, secret, "HS256")


class Api:
    """A running server, and how to talk to it."""

    def __init__(self, process: subprocess.Popen[bytes], base: str, log: Path) -> None:
        self.process = process
        self.base = base
        self.log = log

    def client(self, user: str | None = None, **headers: str) -> httpx.Client:
        """A client that sends a valid token of this user, or none."""
        if user is not None:
            headers = {"Authorization": f"Bearer {token(user)}", **headers}
        return httpx.Client(base_url=self.base, headers=headers, timeout=30)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal, wait, and return the exit code."""
        self.process.send_signal(how)
        return self.process.wait(60)


Serve: TypeAlias = Callable[..., AbstractContextManager[Api]]


SERVE = ("-m", "taskcli", "serve")


@contextmanager
def serving(
    database_url: str, log: Path, settings: Mapping[str, str], program: Sequence[str] = SERVE
) -> Iterator[Api]:
    """A server of these settings, from its first answer to its end.

    It is handed a listening socket, so that its port cannot be lost to another process.
    """
    listener = listening_socket()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("TASKAPI_")},
        "DATABASE_URL": database_url,
        "BETTER_AUTH_SECRET": SECRET,
        "TASKAPI_DRAIN_SECONDS": "0",
        "TASKAPI_LOG_FORMAT": "json",
        **SERVER_SETTINGS,
        **settings,
    }
    command = [sys.executable, *program, "--fd", str(listener.fileno())]
    # Only the server has the socket from here on: its end refuses connections.
    with listener, log.open("wb") as file:
        base = f"http://127.0.0.1:{port_of(listener)}"
        process = Process(
            command, env=environment, stdout=file, stderr=file, pass_fds=[listener.fileno()]
        )
    api = Api(process, base, log)
    try:
        _wait_until_alive(api)
        yield api
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a server at once; one that coverage measures by itself, to write what it has run."""
    if process.poll() is None and "COVERAGE_PROCESS_CONFIG" in os.environ:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
    if process.poll() is None:
        process.kill()
    process.wait(30)


def _wait_until_alive(api: Api) -> None:
    def alive() -> bool:
        try:
            httpx.get(f"{api.base}/health/live", timeout=5)
        except httpx.TransportError:
            if api.process.poll() is not None:
                pytest.fail(f"the server did not start:\n{api.log.read_text()}")
            return False
        return True

    wait_until(alive, "the first answer of a server")


@pytest.fixture(scope="session")
def api(served_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """One server for all tests that need nothing special, on the shared database."""
    with serving(served_url, tmp_path_factory.mktemp("api") / "log", {}) as running:
        yield running


@pytest.fixture
def serve(url: str, through_pooler: Route, tmp_path: Path) -> Serve:
    """Servers of a test's own: `with serve(TASKAPI_POOL_SIZE="1") as api`."""

    def start(database_url: str = url, **settings: str) -> AbstractContextManager[Api]:
        log = tmp_path / f"log-{len(list(tmp_path.iterdir()))}"
        return serving(through_pooler(database_url), log, settings)

    return start


@pytest.fixture
def as_alice(api: Api, alice: str) -> Iterator[httpx.Client]:
    with api.client(alice) as client:
        yield client


@pytest.fixture
def as_bob(api: Api, bob: str) -> Iterator[httpx.Client]:
    with api.client(bob) as client:
        yield client
