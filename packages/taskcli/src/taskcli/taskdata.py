"""The directory of `taskcli dev`: used only if no other user could have written into it.

A directory that others may write to could hold a secret that they know, and a copy of a repository
of theirs a link to a file of this user's, which would be written over.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from .failures import Failure

_OTHERS_WRITE = 0o022
_OTHERS_USE = 0o077


def prepare(directory: Path) -> None:
    """Make the directory, or refuse one that is a link, another user's or open to others."""
    if directory.is_symlink():
        raise Failure(f"{directory} is a symbolic link: name the directory itself (--data)")
    try:
        directory.mkdir(0o700, parents=True, exist_ok=True)
    except OSError:
        return  # the embedded PostgreSQL says what is wrong with it
    _check(directory, os.lstat(directory), _OTHERS_WRITE)
    for path in directory.iterdir():
        if path.is_symlink():
            raise Failure(f"{path} is a symbolic link: remove it")


def ignore_in_git(directory: Path) -> None:
    """Keep the directory out of git."""
    _write(directory / ".gitignore", "*\n", 0o644, os.O_TRUNC)


def secret(directory: Path) -> str:
    """The secret in the directory, made if there is none; only this user may read it."""
    path = directory / "secret"
    if not os.path.lexists(path):
        # Renamed when complete, so that a kill between the two leaves no empty secret.
        unfinished = path.with_name(f"secret.{os.getpid()}")
        unfinished.unlink(missing_ok=True)
        _write(unfinished, secrets.token_urlsafe(32), 0o600, os.O_EXCL)
        unfinished.rename(path)
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW)) as file:
        _check(path, os.fstat(file.fileno()), _OTHERS_USE)
        return file.read().strip()


def _check(path: Path, found: os.stat_result, forbidden: int) -> None:
    if found.st_uid != os.geteuid():
        raise Failure(f"{path} belongs to another user: choose another directory (--data)")
    if found.st_mode & forbidden:
        rights = "go-w" if forbidden == _OTHERS_WRITE else "go-rwx"
        raise Failure(
            f"{path} is open to other users, who may know what is in it: if none has changed it, "
            f"chmod {rights} {path}; else start anew in another directory (--data)"
        )


def _write(path: Path, text: str, mode: int, flags: int) -> None:
    """Write a file of our own; a link in its place is an error."""
    flags |= os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW
    with open(os.open(path, flags, mode), "w") as file:
        file.write(text)
