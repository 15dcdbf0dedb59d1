"""The helper process of support/preloaded.py: it has imported the packages, and forks.

Run as a program, with the number of a socket. Each request has open files and says what the new
process shall be; the answer is its pid. It becomes a child of the process that asks, not of this
one, so that it is waited for and signalled like any child.
"""

from __future__ import annotations

import atexit
import fcntl
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import struct
import sys
import threading
from typing import Any, TextIO, cast

# What a server and the verbs import. `taskcli.__main__` is not among them: each process runs it.
MODULES = (
    "alembic.command",
    "alembic.runtime.migration",
    "httpx",
    "jwt",
    "psycopg",
    "rich.progress",
    "rich.table",
    "sqlalchemy.dialects.postgresql.psycopg",
    "taskapi.server",
    "taskapi.openapi",
    "taskapi.openapi.health",
    "taskcli.checks",
    "taskcli.config",
    "taskcli.dev",
    "taskcli.doctor",
    "taskcli.migrate",
    "taskcli.openapi",
    "taskcli.seed",
    "taskcli.serve",
    "taskcli.sockets",
    "taskcli.stats",
    "taskcli.status",
    "taskcli.supervisor",
    "taskcli.tasks",
    "taskcli.token",
    "taskcli.users",
    "taskcore.admin",
    "taskcore.embedded",
    "taskcore.migrations",
    "typer.rich_utils",
    "uvicorn.lifespan.on",
    "uvicorn.main",
    "uvicorn.protocols.http.auto",
)


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    # Ctrl-C reaches the whole group: this process ends when the one that uses it does.
    interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)
    for module in MODULES:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()
    while True:
        received = _receive(control)
        if received is None:
            return
        request, files = received
        if _fork(control, files):
            break
    control.close()
    signal.signal(signal.SIGINT, interrupt)
    _become(request, files)


def _receive(control: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """The next request and its files; None when nobody is left to ask."""
    header, files, _, _ = socket.recv_fds(control, 4, 64)
    if not header:
        return None
    (length,) = struct.unpack("!I", header)
    text = b""
    while len(text) < length:
        text += control.recv(length - len(text))
    request: dict[str, Any] = json.loads(text)
    return request, files


def _fork(control: socket.socket, files: list[int]) -> bool:
    """Make a grandchild, whose parent ends at once; True in the grandchild."""
    read, write = os.pipe()
    parent = os.fork()
    if parent == 0:
        child = os.fork()
        if child == 0:
            return True
        os.write(write, struct.pack("!I", child))
        os._exit(0)
    for file in (write, *files):
        os.close(file)
    pid = os.read(read, 4)
    os.close(read)
    os.waitpid(parent, 0)
    control.sendall(pid)
    return False


def _become(request: dict[str, Any], files: list[int]) -> None:
    """Take on what the request says, and run the module as `python -m` does."""
    _take_files(dict(zip(request["numbers"], files, strict=True)))
    if request["session"]:
        os.setsid()
    elif request["group"] >= 0:
        os.setpgid(0, request["group"])
    if request["cwd"] is not None:
        os.chdir(request["cwd"])
    if os.environ != request["environment"]:
        os.environ.clear()
        os.environ.update(request["environment"])
    if not request["safe_path"]:  # without -P
        sys.path.insert(0, os.getcwd())  # noqa: PTH109 - as the interpreter has it
    module, *arguments = request["arguments"]
    sys.argv = [module, *arguments]
    sys.modules.pop("__main__", None)
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            _end(end.code or 0)
        raise


def _end(code: int) -> None:
    """End as the interpreter does, but leave the memory to the kernel: it is the dearest part."""
    try:
        sys.stdout.flush()
    except OSError:  # the interpreter knows what to say, and its exit code
        return
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _take_files(files: dict[int, int]) -> None:
    """Give the received files the numbers that were asked for, and close all others."""
    above = max([*files, *files.values()]) + 1
    moved = {number: fcntl.fcntl(file, fcntl.F_DUPFD, above) for number, file in files.items()}
    for number, file in moved.items():
        os.dup2(file, number, inheritable=True)
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - numbers, not files
        if int(name) not in files:
            try:
                os.close(int(name))
            except OSError:  # the one that listed them
                continue
    # Made as the interpreter makes them: what they are is asked once, and the old ones were asked
    # about the helper's files.
    sys.stdin = _stream(0, sys.stdin, "r")
    sys.stdout = _stream(1, sys.stdout, "w")
    sys.stderr = _stream(2, sys.stderr, "w")


def _stream(number: int, like: TextIO, mode: str) -> TextIO:
    stream = open(  # noqa: SIM115 - it stays open
        number,
        mode,
        buffering=1 if number == 2 else -1,
        encoding=like.encoding,
        errors=like.errors,
        newline=None if mode == "r" else "\n",
        closefd=False,
    )
    return cast(TextIO, stream)


if __name__ == "__main__":
    main()
