"""Several servers on one listening socket that outlives them, as under a process supervisor."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

import httpx

from support.api_server import SECRET, token
from support.polling import wait_until
from support.ports import listening_socket, port_of
from support.preloaded import Process


class ServersOnOneSocket:
    """The listening socket, and the processes that serve on it."""

    def __init__(self, database_url: str, directory: Path, settings: Mapping[str, str]) -> None:
        self._socket = listening_socket()
        self.base = f"http://127.0.0.1:{port_of(self._socket)}"
        self.logs: list[Path] = []
        self._directory = directory
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
        """Start one more server; it accepts connections when this returns."""
        log = self._directory / f"server-{len(self.logs)}"
        number = self._socket.fileno()
        command = [sys.executable, "-m", "taskcli", "serve", "--no-check", "--fd", str(number)]
        with log.open("wb") as file:
            process = Process(
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


MakeServers: TypeAlias = Callable[..., ServersOnOneSocket]
