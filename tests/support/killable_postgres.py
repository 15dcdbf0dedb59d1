"""A PostgreSQL that a test may stop, kill and freeze, and the login of the servers under test."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import psutil
import psycopg
import pytest

from support.polling import wait_until
from support.postgres import VERSION
from support.sql import PASSWORD, as_login, fetch_column, run_sql
from taskcore import embedded, migrations

# What was acknowledged must outlive the server's processes; the machine itself does not die here.
SETTINGS = {"fsync": "off", "max_connections": "150"}
LOGIN = "app"


class KillablePostgres:
    """The server, and one migrated database in it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._servers = [self._launch()]
        self.owner_url = self.server.url
        migrations.upgrade(self.owner_url)
        run_sql(
            self.owner_url,
            f"CREATE ROLE {LOGIN} LOGIN PASSWORD '{PASSWORD}'",
            f"GRANT taskcore_tenant TO {LOGIN}",
        )
        self.url = as_login(self.owner_url, LOGIN)

    @property
    def server(self) -> embedded.Server:
        return self._servers[-1]

    def start(self) -> None:
        """On the same port; it accepts connections when this returns."""
        self._servers.append(self._launch())
        assert self.server.url == self.owner_url

    def stop(self) -> None:
        """As an administrator does, who does not wait for anybody."""
        psutil.Process(self.server.pid).send_signal(signal.SIGINT)
        self._wait_for_the_end(self._processes())

    def kill(self) -> None:
        """kill -9, all of it."""
        processes = self._processes()
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._wait_for_the_end(processes)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Every process stopped, as a machine that is out of breath."""
        stopped = self._processes()
        for process in stopped:
            with suppress(psutil.NoSuchProcess):
                process.suspend()
        try:
            yield
        finally:
            for process in reversed(stopped):
                with suppress(psutil.NoSuchProcess):
                    process.resume()

    def terminate_backends(self) -> None:
        run_sql(
            self.owner_url,
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{LOGIN}'",
        )

    def close(self) -> None:
        for server in self._servers:
            server.stop()
        embedded.erase(self._directory)

    def new_user(self) -> str:
        user = f"user_{uuid4().hex}"
        with psycopg.connect(self.owner_url, autocommit=True) as admin:
            admin.execute("INSERT INTO users (id) VALUES (%s)", [user])
        return user

    def _launch(self) -> embedded.Server:
        return embedded.start(self._directory, version=VERSION, settings=SETTINGS)

    def _processes(self) -> list[psutil.Process]:
        postmaster = psutil.Process(self.server.pid)
        return [postmaster, *postmaster.children(recursive=True)]

    def _wait_for_the_end(self, processes: list[psutil.Process]) -> None:
        def ended(process: psutil.Process) -> bool:
            try:
                return process.status() == psutil.STATUS_ZOMBIE
            except psutil.NoSuchProcess:
                return True

        wait_until(lambda: all(map(ended, processes)), "the end of the server's processes")


def lock_waiters(url: str) -> list[int]:
    """The backends that wait for a lock right now."""
    query = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    return fetch_column(url, query)


@pytest.fixture(scope="session")
def killable_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KillablePostgres]:
    """One for all tests of a worker; each leaves it running."""
    server = KillablePostgres(tmp_path_factory.mktemp("killable") / "cluster")
    yield server
    server.close()
