"""Several servers on one listening socket, which outlives them, as a process supervisor has it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TypeAlias

import httpx
import pytest

from fix_api import SECRET, token
from fix_schema import wait_until


class Fleet:
    """The socket, and whoever serves on it."""

    def __init__(self, database_url: str, place: Path, settings: Mapping[str, str]) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=2048)
        self.base = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.logs: list[Path] = []
        self._place = place
        self._processes: list[subprocess.Popen[bytes]] = []
        self._environment = {
            **os.environ,
            "DATABASE_URL": database_url,
            "BETTER_AUTH_SECRET": SECRET,
            "TASKAPI_DRAIN_SECONDS": "0",
            "TASKAPI_LOG_FORMAT": "json",
            **settings,
        }

    def start(self) -> subprocess.Popen[bytes]:
        """One more, which accepts connections when this returns."""
        log = self._place / f"fleet-{len(self.logs)}"
        number = self._socket.fileno()
        command = [sys.executable, "-m", "taskcli", "serve", "--no-check", "--fd", str(number)]
        with log.open("wb") as file:
            process = subprocess.Popen(
                command, env=self._environment, stdout=file, stderr=file, pass_fds=[number]
            )
        self.logs.append(log)
        self._processes.append(process)

        def started() -> bool:
            assert process.poll() is None, log.read_text()
            return "Application startup complete" in log.read_text()

        wait_until(started, "the start of a server")
        return process

    def client(self, user: str) -> httpx.Client:
        headers = {"Authorization": f"Bearer {token(user)}"}
        return httpx.Client(base_url=self.base, headers=headers, timeout=30)

    def close(self) -> None:
        self._socket.close()
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.wait(30)


MakeFleet: TypeAlias = Callable[..., Fleet]


@pytest.fixture
def make_fleet(tmp_path: Path) -> Iterator[MakeFleet]:
    with ExitStack() as stack:

        def make(database_url: str, **settings: str) -> Fleet:
            fleet = Fleet(database_url, tmp_path, settings)
            stack.callback(fleet.close)
            return fleet

        yield make
