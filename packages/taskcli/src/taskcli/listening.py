"""Sockets to serve on: bound here, or handed over by whoever started this process."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Sequence
from threading import Thread
from time import monotonic, sleep

from .failures import Failure, WrongUse

_BACKLOG = 2048


def bound(host: str, port: int, *, patience: float = 0) -> list[socket.socket]:
    """Listen on every address of the host; wait a moment for a process that is just ending."""
    deadline = monotonic() + patience
    while True:
        try:
            return _bound(host, port)
        except socket.gaierror as error:
            raise WrongUse(f"there is no address {host!r} to listen on") from error
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise Failure(f"can't listen on {host}:{port} ({error.strerror})") from error
            if monotonic() > deadline:
                raise Failure(
                    f"port {port} of {host} is taken by another process: stop it, or choose "
                    f"another port (--port {port + 1})"
                ) from error
            sleep(0.05)


def _bound(host: str, port: int) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    flags = socket.AI_PASSIVE
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=flags)
    try:
        for family, _, _, _, address in dict.fromkeys(found):
            try:
                sockets.append(socket.create_server(address[:2], family=family, backlog=_BACKLOG))
            except OSError as error:
                # A name may lead to ::1 on a machine that has no IPv6.
                if error.errno != errno.EADDRNOTAVAIL or len(found) == 1:
                    raise
            if port == 0:  # each address would be given a port of its own
                break
    except OSError:
        for sock in sockets:
            sock.close()
        raise
    return sockets


def inherited(numbers: Sequence[int]) -> list[socket.socket]:
    """The sockets that these descriptors are."""
    sockets = []
    for number in numbers:
        try:
            sock = socket.socket(fileno=number)
            if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                sock.listen(_BACKLOG)
        except OSError as error:
            raise WrongUse(f"--fd {number} is no socket to listen on ({error.strerror})") from error
        sock.set_inheritable(False)
        sockets.append(sock)
    return sockets


def addresses(sockets: Sequence[socket.socket]) -> list[str]:
    """Where they are, as URLs."""
    urls = []
    for sock in sockets:
        name = sock.getsockname()
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            host = f"[{name[0]}]" if sock.family == socket.AF_INET6 else name[0]
            urls.append(f"http://{host}:{name[1]}")
        else:
            urls.append(f"unix:{name}")
    return urls


def end_with(leash: int) -> None:
    """Stop this process, as a signal would, when the other end of the pipe is gone."""

    def wait() -> None:
        os.read(leash, 1)
        import signal

        os.kill(os.getpid(), signal.SIGTERM)

    Thread(target=wait, daemon=True).start()
