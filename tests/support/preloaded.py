"""Starts `python -m taskcli` and its like by a fork of a helper that has imported the packages.

The imports of a server are most of what its start costs. No module of the packages reads the
environment when it is imported (tests/house sees to it), so that a fork behaves as a start does.
What could tell the two apart is started for real, see `can_fork`; with TASKCORE_TEST_PRELOADED=no
that is everything.
"""

from __future__ import annotations

import atexit
import ctypes
import inspect
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

WANTED = os.environ.get("TASKCORE_TEST_PRELOADED", "yes") != "no" and sys.platform == "linux"

# Variables that a forked process may have different from the helper: the packages and libpq read
# them when they are used. Others may be read by an import or by the interpreter.
_READ_LATE = (
    *(
        "DATABASE_URL",
        "BETTER_AUTH_",
        "CORS_ORIGINS",
        "HOST",
        "JWKS_URL",
        "PORT",
        "WEB_CONCURRENCY",
    ),
    *("TASKAPI_", "TASKCORE_", "PG", "PYTEST_"),
)
_PATH = "PYTHONPATH"

_PR_SET_CHILD_SUBREAPER = 36
_HELPER = Path(__file__).with_name("preloaded_helper.py")


def can_fork(command: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Whether a fork of a helper would be the same as a start of this command."""
    if not WANTED or _module_of(command) is None:
        return False
    path = environment.get(_PATH)
    known = path == os.environ.get(_PATH) or path in _helpers
    return known and _imports_see(environment) == _imports_see(os.environ)


def _module_of(command: Sequence[str]) -> list[str] | None:
    """The module that a command runs, and its arguments."""
    program, *arguments = command
    if arguments[:1] == ["-P"]:
        arguments = arguments[1:]
    return arguments[1:] if program == sys.executable and arguments[:1] == ["-m"] else None


def _imports_see(environment: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in environment.items()
        if not name.startswith(_READ_LATE) and name != _PATH
    }


class Process(subprocess.Popen[Any]):
    """A Popen that forks a helper if `can_fork` says so, and starts the command otherwise."""

    def __init__(self, command: Sequence[str], *, forks: bool = True, **options: Any) -> None:
        self._forks = forks
        super().__init__(command, **options)

    def _execute_child(self, *args: Any, **kwargs: Any) -> None:
        # Popen calls this once it has made the pipes; its signature differs between Pythons.
        execute = super()._execute_child  # type: ignore[misc]
        given = inspect.signature(execute).bind(*args, **kwargs).arguments
        environment = os.environ if given["env"] is None else given["env"]
        files = [given["p2cread"], given["c2pwrite"], given["errwrite"]]
        files = [number if file == -1 else file for number, file in enumerate(files)]
        possible = self._forks and can_fork(given["args"], environment)
        if not possible or any(map(os.isatty, files)):
            execute(*args, **kwargs)
            return
        request = {
            "arguments": _module_of(given["args"]),
            "safe_path": given["args"][1] == "-P",
            "cwd": None if given["cwd"] is None else os.fspath(given["cwd"]),
            "environment": dict(environment),
            "group": given["process_group"],
            "session": given["start_new_session"],
            "numbers": [0, 1, 2, *given["pass_fds"]],
        }
        helper = _helper(environment.get(_PATH))
        self.pid = helper.fork(request, [*files, *given["pass_fds"]])
        self._child_created = True
        pipes = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
        self._close_pipe_fds(*(given[pipe] for pipe in pipes))  # type: ignore[attr-defined]


class _Helper:
    """The process that is forked."""

    def __init__(self, path: str | None) -> None:
        self._control, other = socket.socketpair()
        self._lock = threading.Lock()
        environment = {**_imports_see(os.environ), **({_PATH: path} if path else {})}
        with other:
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(_HELPER), str(other.fileno())],
                env=environment,
                stdin=subprocess.DEVNULL,
                pass_fds=[other.fileno()],
            )
        atexit.register(self.close)

    def fork(self, request: dict[str, Any], files: list[int]) -> int:
        """Return the pid of a new child of this process."""
        text = json.dumps(request).encode()
        with self._lock, _Adopting():
            socket.send_fds(self._control, [struct.pack("!I", len(text))], files)
            self._control.sendall(text)
            answer = self._control.recv(4, socket.MSG_WAITALL)
        if len(answer) < 4:
            raise ChildProcessError(f"the helper ended with {self._process.wait(30)}")
        (pid,) = struct.unpack("!I", answer)
        return int(pid)

    def close(self) -> None:
        self._control.close()
        self._process.wait(30)


class _Adopting:
    """Orphans of this process's descendants meanwhile become its children."""

    def __enter__(self) -> None:
        self._set(1)

    def __exit__(self, *_: object) -> None:
        self._set(0)

    def _set(self, value: int) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_CHILD_SUBREAPER, value, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl")


_helpers: dict[str | None, _Helper] = {}


def _helper(path: str | None) -> _Helper:
    if path not in _helpers:
        _helpers[path] = _Helper(path)
    return _helpers[path]


@contextmanager
def preloaded(path: str) -> Iterator[None]:
    """Meanwhile, processes with this PYTHONPATH are forked too: the code there may not change."""
    helper = _helper(path)
    try:
        yield
    finally:
        del _helpers[path]
        helper.close()


def run(
    command: Sequence[str], *, stdin: str = "", timeout: float = 60, **options: Any
) -> subprocess.CompletedProcess[str]:
    """What subprocess.run does, in text, with all output captured."""
    pipe = subprocess.PIPE
    with Process(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, **options) as process:
        try:
            out, err = process.communicate(stdin, timeout)
        except BaseException:
            process.send_signal(signal.SIGKILL)
            raise
    return subprocess.CompletedProcess(command, process.returncode, out, err)
