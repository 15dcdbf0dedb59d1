"""SQL past the packages under test: statements, queries, other logins, waits for locks."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg

from support.polling import wait_until
from taskcore import Database, TaskCreate, create_task, get_task

PASSWORD = "of-a-test"


def run_sql(url: str, *statements: str) -> None:
    """Run statements, each in a transaction of its own."""
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def fetch_column(url: str, query: str) -> list[Any]:
    """The first column of what a query finds."""
    with psycopg.connect(url, autocommit=True) as connection:
        return [row[0] for row in connection.execute(query.encode())]


def as_login(url: str, login: str, password: str = PASSWORD) -> str:
    """The same database for another login."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{login}:{password}@{parts.hostname}:{parts.port}"))


def operations_work(url: str, user: str) -> bool:
    """Whether an existing user can make a task and read it again."""
    with Database(url, max_size=1) as database:
        made = database.run(create_task(user, TaskCreate(title="one")))
        return database.run(get_task(user, made.id)).title == "one"


def wait_for_lock_waiters(url: str, number: int, event: str = "%") -> list[int]:
    """The backends of the cluster that wait for a lock, once there are so many."""
    query = (
        "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
        f"AND wait_event LIKE '{event}'"
    )
    found: list[int] = []

    def waiting() -> bool:
        found[:] = fetch_column(url, query)
        return len(found) >= number

    wait_until(waiting, f"{number} sessions that wait for a lock")
    return found
