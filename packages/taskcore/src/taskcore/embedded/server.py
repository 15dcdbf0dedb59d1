"""Start the server of a directory, share it between processes, stop it, erase it.

Each process that starts the server holds a shared lock on a file; the last one to release it stops
the server. A killed process releases it too, and the next start takes over a server left running.
"""

import atexit
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Self
from urllib.parse import quote

from taskcore.embedded import cluster
from taskcore.embedded.lock import alone, hold, locked, release
from taskcore.embedded.place import Place, find, ground
from taskcore.errors import EmbeddedUnavailable


class Server:
    """A running server, shared by the processes that started it; the last stop() ends it."""

    def __init__(self, directory: Path, place: Place, up: cluster.Postmaster, held: int) -> None:
        self.directory = directory
        self.data = place.data
        self.bin = place.bin
        self.pid = up.pid
        self._home = place.home
        self._address = (
            f"postgresql://postgres:{(place.home / 'password').read_text()}@127.0.0.1:{up.port}"
        )
        self._held: int | None = held
        self._owner = os.getpid()
        self.url = self.url_for("postgres")
        atexit.register(self.stop)

    def url_for(self, database: str) -> str:
        """The URL of another database of this server."""
        return f"{self._address}/{quote(database, safe='')}"

    def stop(self) -> None:
        """Release the server; a second call does nothing."""
        # A forked child has inherited the hold of its parent, and must not release it.
        if self._held is None or self._owner != os.getpid():
            return
        atexit.unregister(self.stop)
        held, self._held = self._held, None
        try:
            with locked(self._home):
                _let_go(self._home, held)
        except FileNotFoundError:
            release(held)  # erased meanwhile

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()


def start(
    directory: str | Path, *, version: int = 18, settings: Mapping[str, str] | None = None
) -> Server:
    """Start the cluster of `directory` (made if it is new), or share it if it runs already.

    `settings` are PostgreSQL's, for a server that this call starts; the address is always ours.
    """
    resolved = Path(directory).resolve()
    try:
        place = find(resolved, version)
        with locked(place.home, 0o755 if place.user else 0o700) as lock:
            held = hold(place.home)
            try:
                if not place.data.exists():
                    cluster.create(place, version, lock)
                elif not (place.home / "password").exists():
                    raise EmbeddedUnavailable(
                        f"{place.data} was not made by taskcore: choose another directory."
                    )
                up = cluster.running(place) or cluster.launch(place, settings or {})
                return Server(resolved, place, up, held)
            except BaseException:
                _let_go(place.home, held)
                raise
    except OSError as error:
        raise EmbeddedUnavailable(
            f"The embedded PostgreSQL cannot use {resolved} ({error}): choose another directory."
        ) from error


def erase(directory: str | Path) -> None:
    """Stop and delete the clusters, of every version, that `start(directory)` made."""
    resolved = Path(directory).resolve()
    area = ground(resolved)
    for home in sorted(area.glob("pg[0-9]*")):
        if home.is_symlink():
            continue
        with suppress(FileNotFoundError), locked(home):
            unfinished = home / "unfinished"
            if (home / "password").exists() and (home / "data").exists():
                cluster.halt(home)
                shutil.rmtree(unfinished, ignore_errors=True)
                (home / "data").rename(unfinished)  # never a half-deleted `data`
            if unfinished.exists():
                shutil.rmtree(unfinished)
            for name in ("password", "port", "log", "held", "lock"):
                (home / name).unlink(missing_ok=True)
        with suppress(OSError):  # not empty: files of others, or a start just after this erase
            home.rmdir()
    if area != resolved:
        with suppress(OSError):
            area.rmdir()
            where = resolved / "where"
            if not where.is_symlink() and where.read_text() == f"{area}\n":
                where.unlink()


def _let_go(home: Path, held: int) -> None:
    try:
        if alone(home, held):
            cluster.halt(home)
    finally:
        release(held)
