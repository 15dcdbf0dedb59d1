"""Locks between processes, on files. The end of a process, even by a signal, releases its locks."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def make(directory: Path, mode: int) -> None:
    """Create `directory` and its missing parents with `mode`; do not change existing ones."""
    if directory.is_dir():
        return
    make(directory.parent, mode)
    with suppress(FileExistsError):  # another process was faster
        directory.mkdir(mode)
        directory.chmod(mode)  # the umask may have narrowed it


def refuse_links(directory: Path) -> None:
    """Raise an OSError if the directory or something in it is a symbolic link."""
    for path in (directory, *directory.iterdir()) if directory.exists() else ():
        if path.is_symlink():
            raise OSError(errno.ELOOP, "is a symbolic link", str(path))


def is_at(descriptor: int, path: Path) -> bool:
    """Whether `path` still names the open file."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


@contextmanager
def locked(home: Path, mode: int | None = None) -> Iterator[int]:
    """Hold the exclusive lock of `home`, which is created if a `mode` is given."""
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
            continue  # erased between the two calls
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            # After waiting for an erase, this may be a lock on a file that was deleted.
            if is_at(descriptor, path):
                yield descriptor
                return
        finally:
            release(descriptor)


def hold(home: Path) -> int:
    """Keep the server running for as long as the returned descriptor is open."""
    descriptor = os.open(home / "held", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


def alone(home: Path, descriptor: int) -> bool:
    """Whether no other process holds `home`; this call gives up the caller's own hold."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return is_at(descriptor, home / "held")


def release(descriptor: int) -> None:
    """Unlock and close. Closing alone leaves the lock with a child forked meanwhile."""
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)
