"""A connection that refuses writes is closed: a new one may reach a server that accepts them."""

from __future__ import annotations

import psycopg
import pytest

from support.drivers import Driver
from taskcore import DatabaseUnavailable, TaskCreate, create_task, list_tasks

ONE = {"min_size": 1, "max_size": 1}
NEW = TaskCreate(title="new")


def test_a_refused_write_closes_the_connection_and_a_read_keeps_it(
    own_url: str, driver: Driver
) -> None:
    with psycopg.connect(own_url, autocommit=True) as admin:
        name = admin.info.dbname
        admin.execute("INSERT INTO users (id) VALUES ('alice')")
        admin.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on".encode())
        with driver(own_url, **ONE) as run:
            run(list_tasks("alice"))
            # The setting applies to new connections, so the pool's connection still refuses writes.
            admin.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only".encode())
            for _ in range(3):
                assert run(list_tasks("alice")) == []
            with pytest.raises(DatabaseUnavailable) as refused:
                run(create_task("alice", NEW))
            assert not refused.value.outcome_unknown
            made = run(create_task("alice", NEW))
            assert [task.id for task in run(list_tasks("alice"))] == [made.id]
