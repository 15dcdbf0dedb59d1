"""Locks between processes, in files. A process that is killed lets go of them by that."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def make(directory: Path, mode: int) -> None:
    """Create what is missing of `directory` with `mode`; leave what is there as it is."""
    if directory.is_dir():
        return
    make(directory.parent, mode)
    with suppress(FileExistsError):  # another process was faster
        directory.mkdir(mode)
        directory.chmod(mode)  # the umask may have narrowed it


def is_at(descriptor: int, path: Path) -> bool:
    """Whether the open file still is the one that `path` names."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


@contextmanager
def locked(home: Path, mode: int | None = None) -> Iterator[int]:
    """Be the only one at work in `home`, which is created when `mode` says how."""
    path = home / "lock"
    create = 0 if mode is None else os.O_CREAT
    while True:
        if mode is not None:
            make(home, mode)
        try:
            descriptor = os.open(path, os.O_RDWR | create, 0o600)
        except FileNotFoundError:
            if mode is None:
                raise
            continue  # erased in between
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            # Whoever waited for an erase wakes up with a lock on a file that is gone.
            if is_at(descriptor, path):
                yield descriptor
                return
        finally:
            release(descriptor)


def hold(home: Path) -> int:
    """Say, for as long as the returned descriptor is open, that the server is needed."""
    descriptor = os.open(home / "held", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


def alone(home: Path, descriptor: int) -> bool:
    """Whether nobody else holds `home`; the hold itself is given up by asking."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return is_at(descriptor, home / "held")


def release(descriptor: int) -> None:
    """Unlock and close. Closing alone leaves the lock with a child forked meanwhile."""
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)
