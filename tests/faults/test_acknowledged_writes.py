"""An acknowledged write survives a kill of PostgreSQL or of a server process."""

from __future__ import annotations

from uuid import uuid4

import psycopg
import pytest

from faults.servers_on_one_socket import MakeServers
from faults.writers import Writer, differences, writing
from support.api_server import Serve
from support.figures import FULL, Figure
from support.killable_postgres import KillablePostgres
from support.polling import wait_until
from support.sql import run_sql

WRITERS = 32 if FULL else 8
KILLS = 10 if FULL else 1
SERVER_KILLS = 10 if FULL else 1


@pytest.fixture
def writers(killable_postgres: KillablePostgres) -> list[Writer]:
    return [Writer(killable_postgres.new_user()) for _ in range(WRITERS)]


def acknowledged(writers: list[Writer]) -> int:
    return sum(writer.acknowledged.total() for writer in writers)


def wait_for_more(writers: list[Writer], number: int) -> None:
    wanted = acknowledged(writers) + number
    wait_until(lambda: acknowledged(writers) >= wanted, f"{number} more acknowledged")


def refusals(writers: list[Writer]) -> set[str]:
    return {refusal for writer in writers for refusal in writer.refused}


def test_a_killed_database_loses_no_acknowledged_write(
    serve: Serve, killable_postgres: KillablePostgres, writers: list[Writer], figure: Figure
) -> None:
    with serve(killable_postgres.url) as api, writing(writers, lambda: api.base):
        for _ in range(KILLS):
            wait_for_more(writers, 100)
            killable_postgres.kill()
            killable_postgres.start()
        wait_for_more(writers, 100)
    assert differences(writers, killable_postgres.owner_url) == {
        "lost": [],
        "doubled": [],
        "torn": [],
    }
    assert refusals(writers) <= {
        "503 database_unavailable",
        "503 outcome_unknown",
        "404 task_not_found",
    }
    figure(
        f"database killed {KILLS} times: {acknowledged(writers)} acknowledged, 0 lost, 0 doubled"
    )


def test_killed_servers_lose_no_acknowledged_write(
    make_servers: MakeServers,
    killable_postgres: KillablePostgres,
    writers: list[Writer],
    figure: Figure,
) -> None:
    servers = make_servers(killable_postgres.url)
    old = servers.start()
    with writing(writers, lambda: servers.base):
        for _ in range(SERVER_KILLS):
            new = servers.start()
            wait_for_more(writers, 100)
            old.kill()
            old = new
        wait_for_more(writers, 100)
    assert differences(writers, killable_postgres.owner_url) == {
        "lost": [],
        "doubled": [],
        "torn": [],
    }
    assert any(writer.refused for writer in writers), "no request was in flight during a kill"
    figure(
        f"servers killed {SERVER_KILLS} times: {acknowledged(writers)} acknowledged, "
        "0 lost, 0 doubled"
    )


def test_writes_acknowledged_before_they_are_on_disk_are_found_lost(
    serve: Serve, killable_postgres: KillablePostgres, writers: list[Writer]
) -> None:
    """Control: without synchronous_commit, an acknowledged commit is not on disk yet."""
    early = ("synchronous_commit = off", "wal_writer_delay = '10s'")
    run_sql(killable_postgres.owner_url, *(f"ALTER SYSTEM SET {setting}" for setting in early))
    run_sql(killable_postgres.owner_url, "SELECT pg_reload_conf()")
    try:
        with serve(killable_postgres.url) as api, writing(writers, lambda: api.base):
            wait_for_more(writers, 200)
            killable_postgres.kill()
        killable_postgres.start()
        assert differences(writers, killable_postgres.owner_url)["lost"] != []
    finally:
        run_sql(killable_postgres.owner_url, "ALTER SYSTEM RESET ALL", "SELECT pg_reload_conf()")


def test_doubled_and_torn_tasks_are_found(
    killable_postgres: KillablePostgres, writers: list[Writer]
) -> None:
    """Control: one task was never acknowledged; another differs from its acknowledged state."""
    with psycopg.connect(killable_postgres.owner_url, autocommit=True) as admin:
        insert = "INSERT INTO tasks (user_id, id, title) VALUES (%s, %s, 'one')"
        more, other = uuid4(), uuid4()
        admin.execute(insert, [writers[0].user, more])
        admin.execute(insert, [writers[1].user, other])
    writers[1].states[str(other)] = [("one", True)]
    found = differences(writers, killable_postgres.owner_url)
    assert found["doubled"] == [str(more)]
    assert found["torn"] == [(str(other), ("one", False), [("one", True)])]
