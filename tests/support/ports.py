"""Ports of 127.0.0.1: a socket that a server is handed, and ports at which nothing answers."""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import psutil


def listening_socket() -> socket.socket:
    """Return a socket that listens on a port of its own, to be handed to a server (`--fd`).

    The port belongs to the test from here on: no other process can bind it, before the server
    starts or after it.
    """
    return socket.create_server(("127.0.0.1", 0), backlog=2048)


def port_of(listener: socket.socket) -> int:
    port: int = listener.getsockname()[1]
    return port


@contextmanager
def bound_socket() -> Iterator[socket.socket]:
    """A socket that refuses connections until `listen` is called; no other process has its port."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound


@contextmanager
def closed_port() -> Iterator[int]:
    """A port at which nothing answers."""
    with bound_socket() as bound:
        yield port_of(bound)


def free_port() -> int:
    """Return a port that is free now, for a program that takes no socket.

    Another process may bind it first: the caller has to check with `listens` that its own program
    got it.
    """
    with closed_port() as port:
        return port


def port_served(process: subprocess.Popen[str]) -> int:
    """Return the port that `taskcli serve` says it serves on, from its standard error."""
    assert process.stderr is not None
    log = ""
    for line in process.stderr:
        if found := re.search(r"serving on http://127\.0\.0\.1:(\d+)", line):
            return int(found[1])
        log += line
    raise AssertionError(f"the server did not start:\n{log}")


def listens(pid: int, port: int) -> bool:
    """Whether this process, or a child of it, listens on the port."""
    try:
        process = psutil.Process(pid)
        found = [process, *process.children(recursive=True)]
        return any(
            connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
            for each in found
            for connection in each.net_connections("tcp")
        )
    except psutil.NoSuchProcess:
        return False
