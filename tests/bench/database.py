"""The database of a run: one PostgreSQL, two logins, and data that can be restored."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import psycopg
from psycopg import sql

from support.api_server import token
from taskcore import embedded, migrations
from taskcore.tenancy import TENANT_ROLE

USERS = 1000
TASKS = 100
# The same for all peers. No background work of PostgreSQL may run during a measurement.
_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "autovacuum": "off",
    "max_connections": "300",
    "shared_buffers": "512MB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "1h",
}
_LOGINS = ("bench_owner", "bench_tenant")
_PASSWORD = "bench"

# The tasks of all users are mixed in the table, as they are when users create them day by day.
_SEED = """
CREATE SCHEMA bench;
CREATE TABLE bench.tasks AS
    SELECT gen_random_uuid() AS id, 'user-' || u AS user_id,
           'Renew the passport before noon, number ' || t AS title,
           CASE WHEN t % 4 = 0 THEN 'Ask for the receipt. Compare at least two offers.' END
               AS description,
           t % 2 = 0 AS completed,
           now() - t * interval '1 hour' - u * interval '1 second' AS created_at
      FROM generate_series(0, {users} - 1) u, generate_series(1, {tasks}) t
     ORDER BY random();
INSERT INTO public.users (id, email) SELECT 'user-' || u, u || '@example.com'
  FROM generate_series(0, {users} - 1) u
"""
_BUSY = """
SELECT count(*) FROM pg_stat_activity
 WHERE datname = current_database() AND state <> 'idle' AND pid <> pg_backend_pid()
"""
_RESTORE = """
TRUNCATE public.tasks;
INSERT INTO public.tasks (id, user_id, title, description, completed, created_at, updated_at)
    SELECT *, created_at FROM bench.tasks
"""


@dataclass(frozen=True)
class BenchDatabase:
    """A migrated database, and the folder for files of the run."""

    server: embedded.Server
    url: str
    place: Path

    @property
    def owner_url(self) -> str:
        """The URL with the login that owns the tables, to which no policy applies."""
        return as_login(self.url, "bench_owner")

    @property
    def tenant_url(self) -> str:
        """The URL with a login that has no rights of its own but may take the tenant role."""
        return as_login(self.url, "bench_tenant")

    def seed(self, users: int = USERS, tasks: int = TASKS) -> None:
        """Create the users, and this many tasks of each."""
        with psycopg.connect(self.url, autocommit=True) as admin:
            admin.execute(sql.SQL(_SEED).format(users=users, tasks=tasks))
        self.restore()

    def restore(self) -> None:
        """Restore the tasks as they were seeded, in the same order in the table."""
        with psycopg.connect(self.url, autocommit=True) as admin:
            _wait_until_idle(admin)
            admin.execute(_RESTORE)
            admin.execute("VACUUM (ANALYZE) public.tasks, public.users")

    def ids(self) -> list[tuple[int, UUID]]:
        """Return the user's number and the id of every task, always in the same shuffled order."""
        with psycopg.connect(self.url) as admin:
            rows = admin.execute(
                "SELECT substr(user_id, 6)::int, id FROM bench.tasks ORDER BY id"
            ).fetchall()
        random.Random(7).shuffle(rows)
        return rows

    def write_targets(self) -> tuple[Path, Path]:
        """Write the tokens and the ids to the files that the load generator reads."""
        tokens, ids = self.place / "tokens", self.place / "ids"
        tokens.write_text("".join(f"{token_of(number)}\n" for number in range(USERS)))
        ids.write_text("".join(f"{user} {id}\n" for user, id in self.ids()))
        return tokens, ids


def _wait_until_idle(admin: psycopg.Connection) -> None:
    """Wait, because a server finishes its requests after the load generator has disconnected."""
    deadline, quiet = time.monotonic() + 60, 0
    while quiet < 5:
        row = admin.execute(_BUSY).fetchone()
        assert time.monotonic() < deadline, "a server still runs statements"
        quiet = 0 if row and row[0] else quiet + 1
        time.sleep(0.02)


def token_of(number: int) -> str:
    """Return a token of this user that is valid longer than any run."""
    return token(f"user-{number}", lifetime=86_400)


def as_login(url: str, login: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{login}:{_PASSWORD}@{parts.hostname}:{parts.port}"))


@contextmanager
def new_bench_database() -> Iterator[BenchDatabase]:
    """Start a PostgreSQL for this run, and erase it afterwards."""
    with tempfile.TemporaryDirectory(prefix="bench-") as place:
        directory = Path(place, "postgres")
        with embedded.start(directory, settings=_SETTINGS) as server:
            try:
                yield new_database(server, Path(place), "bench")
            finally:
                server.stop()
                embedded.erase(directory)


def new_database(server: embedded.Server, place: Path, name: str) -> BenchDatabase:
    """Create a migrated database that the two logins can use."""
    with psycopg.connect(server.url, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    url = server.url_for(name)
    migrations.upgrade(url)
    create_logins(url)
    return BenchDatabase(server, url, place)


def create_logins(url: str) -> None:
    """Create the logins: one owns the tables, one may take the tenant role and nothing else."""
    with psycopg.connect(url, autocommit=True) as admin:
        for login in _LOGINS:
            known = admin.execute("SELECT FROM pg_roles WHERE rolname = %s", [login]).fetchone()
            if known is None:
                make = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}")
                admin.execute(make.format(sql.Identifier(login), _PASSWORD))
        for table in ("tasks", "users"):
            change = sql.SQL("ALTER TABLE public.{} OWNER TO bench_owner")
            admin.execute(change.format(sql.Identifier(table)))
        # taskapi uses no tables of a login that owns neither the database nor its schema.
        change = sql.SQL("ALTER DATABASE {} OWNER TO bench_owner")
        admin.execute(change.format(sql.Identifier(admin.info.dbname)))
        grant = sql.SQL("GRANT {} TO bench_tenant WITH INHERIT FALSE, SET TRUE")
        admin.execute(grant.format(sql.Identifier(TENANT_ROLE)))
