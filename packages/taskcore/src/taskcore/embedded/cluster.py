"""Create, start and stop one cluster, and find its processes. The caller holds its lock."""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import signal
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from taskcore.embedded.place import Place
from taskcore.errors import EmbeddedUnavailable

if TYPE_CHECKING:
    import psutil

PATIENCE = 60.0


class Postmaster(NamedTuple):
    pid: int
    port: int


def create(place: Place, version: int, lock: int) -> None:
    """Make the data under another name first, so that a half-made cluster is never used."""
    unfinished, password = place.home / "unfinished", place.home / "password"
    if unfinished.exists():
        shutil.rmtree(unfinished)
    password.unlink(missing_ok=True)
    with os.fdopen(os.open(password, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        place.give(file.fileno())
        file.write(secrets.token_urlsafe(24))
    unfinished.mkdir(0o700)
    place.give(unfinished)
    # The machine may have no locale but C, which changes the case of ASCII letters only. From
    # 17 on, PostgreSQL has a C.UTF-8 of its own, which changes the case of every letter.
    options = ["--username=postgres", "--encoding=UTF8", "--locale=C", "--auth=scram-sha-256"]
    if version >= 17:
        options += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    # If this process is killed, initdb keeps the lock until it has ended too.
    done = place.run("initdb", *options, f"--pwfile={password}", data=unfinished, keep=(lock,))
    if done.returncode:
        said = " ".join(done.stdout.splitlines()[-3:])
        raise EmbeddedUnavailable(f"PostgreSQL could not create {place.data}: {said}")
    unfinished.rename(place.data)


def launch(place: Place, settings: Mapping[str, str]) -> Postmaster:
    """Start the server, on its earlier port if that is still free."""
    last, log = place.home / "port", place.home / "log"
    port = _free_port(int(last.read_text()) if last.exists() else 0)
    deadline = time.monotonic() + PATIENCE
    while True:
        ours = {"listen_addresses": "127.0.0.1", "port": str(port), "unix_socket_directories": ""}
        options = {**settings, **ours}
        line = shlex.join(f"-c{name}={value}" for name, value in options.items())
        # The server gets the log as an open file, so that it needs no right on the directory.
        with os.fdopen(os.open(log, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "rb") as file:
            begin = file.seek(0, os.SEEK_END)
            place.run("pg_ctl", "start", "-swt60", "-o", line, data=place.data, output=file)
            file.seek(begin)
            said = file.read().decode(errors="replace")
        postmaster = running(place)
        if postmaster:
            last.write_text(str(postmaster.port))
            return postmaster
        if "could not create any TCP/IP sockets" in said and time.monotonic() < deadline:
            port = _free_port()  # another process took it before the server's bind
        elif "pre-existing shared memory block" in said and time.monotonic() < deadline:
            time.sleep(0.1)  # processes of a killed server are still ending
        else:
            tail = "\n".join(said.splitlines()[-10:])
            raise EmbeddedUnavailable(f"PostgreSQL did not start; {log} ends with:\n{tail}")


def running(place: Place) -> Postmaster | None:
    """Wait for the server to accept connections; return None if there is no server."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        postmaster = _postmaster(place.data)
        if postmaster:
            ready = place.run("pg_isready", "-h127.0.0.1", f"-p{postmaster.port}", "-dpostgres")
            if ready.returncode == 0:
                return postmaster
        elif not any(_processes(place.data)):
            _forget(place.data / "postmaster.pid")
            return None
        time.sleep(0.02)
    raise EmbeddedUnavailable(
        f"The PostgreSQL in {place.data} neither serves nor ends: see {place.home / 'log'}."
    )


def halt(home: Path) -> None:
    """Stop the server if it runs: a fast shutdown, and if that takes too long an immediate one."""
    for how in (signal.SIGINT, signal.SIGQUIT):
        postmaster = _postmaster(home / "data")
        if postmaster is None:
            return
        with suppress(ProcessLookupError):
            os.kill(postmaster.pid, how)
        deadline = time.monotonic() + PATIENCE / 2
        while time.monotonic() < deadline:
            if _postmaster(home / "data") is None:
                return
            time.sleep(0.02)
    raise EmbeddedUnavailable(f"The PostgreSQL in {home} does not stop: see {home / 'log'}.")


def _postmaster(data: Path) -> Postmaster | None:
    """Return the process in postmaster.pid, if it really is a server of this directory."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
        pid, port = int(lines[0]), int(lines[3])
    except (OSError, ValueError, IndexError):
        return None
    import psutil

    with suppress(psutil.Error, ValueError):
        if _is_of(psutil.Process(pid), data):
            return Postmaster(pid, port)
    return None


def _processes(data: Path) -> Iterator[psutil.Process]:
    """Yield every process of this cluster, also those whose postmaster is gone."""
    import psutil

    return (process for process in psutil.process_iter() if _is_of(process, data))


def _is_of(process: psutil.Process, data: Path) -> bool:
    import psutil

    try:
        return (
            process.name() == "postgres"
            and process.status() != psutil.STATUS_ZOMBIE
            and process.uids().effective == data.stat().st_uid
            and Path(process.cwd()) == data
        )
    except (OSError, psutil.Error):
        return False


def _forget(stale: Path) -> None:
    """Remove a dead server's postmaster.pid if another process has its number by now.

    PostgreSQL would take that process for the server, and refuse to start while it runs.
    """
    import psutil

    with suppress(OSError, ValueError, IndexError):
        if psutil.pid_exists(int(stale.read_text().splitlines()[0])):
            stale.unlink()


def _free_port(wanted: int = 0) -> int:
    """Return a free port: the wanted one if possible."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server will
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            return _free_port()
        port: int = probe.getsockname()[1]
        return port
