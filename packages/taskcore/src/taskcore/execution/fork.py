"""What a child process must not touch: the sockets of connections that its parent opened.

Parent and child share those sockets. What either of them reads is lost to the other, and libpq's
good-bye in the child would end the parent's session. So, in the child, each descriptor is pointed
at /dev/null before any other code runs, and every open database drops its pool.
"""

from __future__ import annotations

import os
from threading import Lock
from typing import Protocol
from weakref import WeakSet


class _Inheritable(Protocol):
    def _after_fork(self) -> object:
        """Become usable in the child, or refuse to be used; return what must not be deleted."""


_databases: WeakSet[_Inheritable] = WeakSet()
# Descriptor to identity of its socket: an entry of a socket that was closed is harmless, because
# what has its number today has another identity. It stays until the number is used again.
_sockets: dict[int, tuple[int, int]] = {}
# Deleting a pool of the parent's takes locks and waits for threads that are not in the child.
_kept: list[object] = []


# Held by a thread while it is inside a step of connecting. OpenSSL takes locks there, and one that
# another thread held when the process was forked would stay locked in the child for good.
connecting = Lock()
# Seconds; a step of connecting does not wait for the network.
_STEP_SECONDS = 5.0
_held = False


def remember_database(database: _Inheritable) -> None:
    """Call its `_after_fork` in each child."""
    _databases.add(database)


def remember_socket(descriptor: int) -> None:
    """Neutralise the socket of a connection, or a duplicate of it, in each child."""
    _sockets[descriptor] = _identity(descriptor)


def _identity(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


def _before() -> None:
    global _held
    _held = connecting.acquire(timeout=_STEP_SECONDS)


def _after() -> None:
    if _held:
        connecting.release()


def _in_child() -> None:
    _after()
    try:
        _neutralise([number for number, socket in _sockets.items() if _is_open(number, socket)])
    finally:
        _sockets.clear()
        _kept.extend([database._after_fork() for database in list(_databases)])


def _is_open(descriptor: int, identity: tuple[int, int]) -> bool:
    try:
        return _identity(descriptor) == identity
    except OSError:
        return False


def _neutralise(sockets: list[int]) -> None:
    """Point these descriptors at /dev/null."""
    if not sockets:
        return
    try:
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    except OSError:  # the limit of descriptors is reached; to close a socket sends nothing
        os.close(sockets[0])
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for descriptor in sockets:
        if descriptor != null:
            os.dup2(null, descriptor, inheritable=False)
    if null not in sockets:
        os.close(null)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_in_child)
