"""A PostgreSQL primary that a test may end, and a streaming replica to promote in its place."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from support.killable_postgres import SETTINGS, KillablePostgres
from support.polling import wait_until
from support.ports import free_port, listens
from support.sql import fetch_column, run_sql
from taskcore.embedded.place import run_as, system_user


class ReplicatedPostgres:
    """A primary, and its standby in another directory and on another port."""

    def __init__(self, primary: KillablePostgres, standby_port: int, log: Path) -> None:
        self.primary = primary
        self.log = log
        self.standby_owner_url = _at(primary.owner_url, standby_port)
        self.standby_url = _at(primary.url, standby_port)

    def both(self, *, standby_first: bool) -> str:
        """A URL with both hosts, which connects to the one that accepts writes."""
        ours, other = urlsplit(self.primary.url), urlsplit(self.standby_url)
        login, _, host = ours.netloc.rpartition("@")
        hosts = [host, other.netloc.rpartition("@")[2]]
        netloc = f"{login}@{','.join(hosts[::-1] if standby_first else hosts)}"
        query = "target_session_attrs=read-write"
        return urlunsplit(ours._replace(netloc=netloc, query=query))

    def wait_for_the_standby(self) -> None:
        """Wait until the standby has replayed all that the primary has written so far."""
        (here,) = fetch_column(self.primary.owner_url, "SELECT pg_current_wal_lsn()")
        behind = f"SELECT pg_last_wal_replay_lsn() >= '{here}'"
        wait_until(lambda: fetch_column(self.standby_owner_url, behind) == [True], "the standby")

    def promote(self) -> None:
        """Promote the standby; it accepts writes when this returns."""
        assert fetch_column(self.standby_owner_url, "SELECT pg_promote()") == [True]

    def fence(self, on: bool) -> None:
        """Make the primary refuse all writes, also on open connections, or accept them again."""
        value = "on" if on else "off"
        run_sql(
            self.primary.owner_url,
            f"ALTER SYSTEM SET default_transaction_read_only = {value}",
            "SELECT pg_reload_conf()",
        )
        shown = "SELECT current_setting('default_transaction_read_only')"
        wait_until(
            lambda: fetch_column(self.primary.owner_url, shown) == [value], "the new setting"
        )


def _at(url: str, port: int) -> str:
    parts = urlsplit(url)
    login = parts.netloc.rpartition("@")[0]
    return urlunsplit(parts._replace(netloc=f"{login}@127.0.0.1:{port}"))


@contextmanager
def replicated_postgres(directory: Path) -> Iterator[ReplicatedPostgres]:
    """A primary in a directory, and a standby that follows it."""
    # PostgreSQL does not run as root, and its system user may not enter pytest's folders.
    user = system_user() if os.geteuid() == 0 else None
    with ExitStack() as stack:
        primary = KillablePostgres(directory)
        stack.callback(primary.close)
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="taskcore-replica-")))
        if user is not None:
            os.chown(home, user.pw_uid, user.pw_gid)
        copy = ["--pgdata", str(home / "data"), "--write-recovery-conf", "--checkpoint=fast"]
        program = str(primary.server.bin / "pg_basebackup")
        done = run_as(user, [program, *copy, "--dbname", primary.owner_url])
        assert done.returncode == 0, done.stdout

        replicated = ReplicatedPostgres(primary, free_port(), home / "log")
        port = urlsplit(replicated.standby_url).port
        # A standby has the primary's logins, and must allow as many connections.
        settings = {**SETTINGS, "port": port, "listen_addresses": "127.0.0.1"}
        settings["unix_socket_directories"] = ""
        options = [f"-c{name}={value}" for name, value in settings.items()]
        with replicated.log.open("wb") as log:
            process = subprocess.Popen(
                [str(primary.server.bin / "postgres"), "-D", str(home / "data"), *options],
                cwd="/",
                stdout=log,
                stderr=log,
                user=user.pw_uid if user else None,
                group=user.pw_gid if user else None,
                extra_groups=[] if user else None,
            )
        stack.callback(_end, process)
        wait_until(lambda: _answers(process, replicated), "the standby's first answer")
        yield replicated


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGQUIT)  # ends all of its processes immediately
    process.wait(60)


def _answers(process: subprocess.Popen[bytes], replicated: ReplicatedPostgres) -> bool:
    if process.poll() is not None:
        pytest.fail(f"the standby did not start:\n{replicated.log.read_text()}")
    # The port was free but is not reserved, so another process may have taken it since.
    if not listens(process.pid, urlsplit(replicated.standby_url).port or 0):
        return False
    try:
        return fetch_column(replicated.standby_owner_url, "SELECT pg_is_in_recovery()") == [True]
    except psycopg.OperationalError:
        return False
