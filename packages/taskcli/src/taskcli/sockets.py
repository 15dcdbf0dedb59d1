"""The listening sockets of `serve` and `dev`: bound here, or passed on by the parent process."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Sequence
from threading import Thread
from time import monotonic, sleep

from .failures import Failure, WrongUse

_BACKLOG = 2048


def bind(host: str, port: int, *, retry_seconds: float = 0) -> list[socket.socket]:
    """Listen on every address of the host.

    A port in use is tried again for `retry_seconds`: the process that has it may be just ending.
    """
    deadline = monotonic() + retry_seconds
    while True:
        try:
            return _bind_once(host, port)
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


def _bind_once(host: str, port: int) -> list[socket.socket]:
    listeners: list[socket.socket] = []
    flags = socket.AI_PASSIVE
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=flags)
    try:
        for family, _, _, _, address in dict.fromkeys(found):
            try:
                listeners.append(socket.create_server(address[:2], family=family, backlog=_BACKLOG))
            except OSError as error:
                # A host name may resolve to ::1 on a machine without IPv6.
                if error.errno != errno.EADDRNOTAVAIL or len(found) == 1:
                    raise
            if port == 0:  # the kernel would choose a different port for each address
                break
    except OSError:
        for listener in listeners:
            listener.close()
        raise
    return listeners


def from_descriptors(descriptors: Sequence[int]) -> list[socket.socket]:
    """The sockets of these inherited file descriptors, listening."""
    listeners = []
    for descriptor in descriptors:
        try:
            listener = socket.socket(fileno=descriptor)
            if not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                listener.listen(_BACKLOG)
        except OSError as error:
            raise WrongUse(
                f"--fd {descriptor} is no socket to listen on ({error.strerror})"
            ) from error
        listener.set_inheritable(False)
        listeners.append(listener)
    return listeners


def addresses(listeners: Sequence[socket.socket]) -> list[str]:
    """The sockets' addresses as URLs."""
    urls = []
    for listener in listeners:
        name = listener.getsockname()
        if listener.family in (socket.AF_INET, socket.AF_INET6):
            host = f"[{name[0]}]" if listener.family == socket.AF_INET6 else name[0]
            urls.append(f"http://{host}:{name[1]}")
        else:
            urls.append(f"unix:{name}")
    return urls


def stop_with_parent(parent_pipe: int) -> None:
    """Send this process SIGTERM when the parent's end of the pipe is closed."""

    def wait() -> None:
        os.read(parent_pipe, 1)
        import signal

        os.kill(os.getpid(), signal.SIGTERM)

    Thread(target=wait, daemon=True).start()
