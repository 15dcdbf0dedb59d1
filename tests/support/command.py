"""The installed command, as a process: in a pipe, or on a terminal.

In a pipe it is forked from a process that has the imports done (support/preloaded.py), unless the
test says `started_for_real`.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from support.api_server import SECRET
from support.preloaded import Process, run

COMMAND = [sys.executable, "-P", "-m", "taskcli"]
_OURS = ("TASKAPI_", "TASKCORE_USERS", "BETTER_AUTH_", "DATABASE_URL", "OTEL_", "PG")
_ALSO = {"HOST", "PORT", "CORS_ORIGINS", "JWKS_URL", "WEB_CONCURRENCY", "NO_COLOR", "FORCE_COLOR"}
PATIENCE = 60


class Done(NamedTuple):
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Cli:
    """Runs `taskcli` in a directory of its own, with nothing of ours in its environment."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.forks = True
        self._started: list[subprocess.Popen[str]] = []

    def environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(_OURS) and name not in _ALSO
        }
        return {**kept, **variables}

    def __call__(self, *arguments: object, stdin: str = "", **variables: str) -> Done:
        done = run(
            [*COMMAND, *map(str, arguments)],
            stdin=stdin,
            timeout=PATIENCE,
            cwd=self.directory,
            env=self.environment(variables),
            forks=self.forks,
        )
        assert "Traceback" not in done.stderr
        return Done(done.returncode, done.stdout, done.stderr)

    def start(self, *arguments: object, **variables: str) -> subprocess.Popen[str]:
        """The same without waiting; what is still running at the end of the test is killed."""
        return self._start(arguments, variables, [])

    def start_on(
        self, listener: socket.socket, *arguments: object, **variables: str
    ) -> subprocess.Popen[str]:
        """Start a server and hand it a listening socket, which is closed here."""
        with listener:
            passed = [*arguments, "--fd", listener.fileno()]
            return self._start(passed, variables, [listener.fileno()])

    def _start(
        self, arguments: Iterable[object], variables: Mapping[str, str], descriptors: list[int]
    ) -> subprocess.Popen[str]:
        process = Process(
            [*COMMAND, *map(str, arguments)],
            forks=self.forks,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.directory,
            env=self.environment(variables),
            process_group=0,
            pass_fds=descriptors,
        )
        self._started.append(process)
        # A process that logs more than a pipe holds would wait for a test that reads at its end.
        if sys.platform == "linux":
            for pipe in filter(None, (process.stdout, process.stderr)):
                fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 1024 * 1024)
        return process

    def on_terminal(
        self,
        *arguments: object,
        typed: str = "",
        program: Sequence[str] = COMMAND,
        **variables: str,
    ) -> Done:
        """On a terminal, where everything it says comes in one stream."""
        master, slave = pty.openpty()
        given = {"TERM": "xterm-256color", "COLUMNS": "120", **variables}
        try:
            process = subprocess.Popen(
                [*program, *map(str, arguments)],
                stdin=slave,
                stdout=slave,
                stderr=slave,
                cwd=self.directory,
                env=self.environment(given),
                start_new_session=True,
            )
            os.close(slave)
            os.write(master, typed.encode())
            said = _all_of(master)
            code = process.wait(PATIENCE)
        finally:
            os.close(master)
        assert "Traceback" not in said
        return Done(code, said, "")

    def close(self) -> None:
        for process in self._started:
            if process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
            process.wait(PATIENCE)
            # Not to its end: what has outlived it may have the other end still open.
            for pipe in (process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()


def _all_of(master: int) -> str:
    said = b""
    deadline = time.monotonic() + PATIENCE
    while select.select([master], [], [], max(0, deadline - time.monotonic()))[0]:
        try:
            said += os.read(master, 65536)
        except OSError:  # the other end is closed
            return said.decode().replace("\r\n", "\n")
    pytest.fail(f"it did not end, and said {said!r}")


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    """`cli("status", DATABASE_URL=url)` runs `taskcli status`."""
    directory = tmp_path / "here"
    directory.mkdir()
    command = Cli(directory)
    yield command
    command.close()


@pytest.fixture
def started_for_real(cli: Cli) -> None:
    """The command is started and not forked: for what a start is part of."""
    cli.forks = False


@pytest.fixture
def secret() -> str:
    """What tokens are signed with, as strong as it has to be."""
    return SECRET
