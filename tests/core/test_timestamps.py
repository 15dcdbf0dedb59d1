"""Times are UTC in every TimeZone of the session, and come from the database's clock."""

from __future__ import annotations

from datetime import UTC, timedelta

import psycopg
import pytest
from psycopg import sql

from support.drivers import Run, Runner
from taskcore import TaskCreate, create_task, get_task, list_tasks, toggle_task


def test_created_at_lies_between_two_readings_of_the_databases_clock(
    run: Run, alice: str, admin: psycopg.Connection
) -> None:
    readings = [admin.execute("SELECT clock_timestamp()").fetchone()]
    task = run(create_task(alice, TaskCreate(title="one")))
    readings.append(admin.execute("SELECT clock_timestamp()").fetchone())
    assert [reading is not None for reading in readings] == [True, True]
    before, after = (reading[0] for reading in readings if reading)
    assert before <= task.created_at <= after


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "America/St_Johns"])
def test_times_are_utc_in_any_time_zone_of_the_database(
    zone: str, runner: Runner, own_url: str
) -> None:
    with psycopg.connect(own_url, autocommit=True) as admin:
        name = sql.Identifier(admin.info.dbname)
        admin.execute(sql.SQL("ALTER DATABASE {} SET timezone = {}").format(name, zone))
        admin.execute("INSERT INTO users (id) VALUES ('user_1')")
    with psycopg.connect(own_url) as control, runner(own_url) as run:
        row = control.execute("SELECT now()").fetchone()
        assert row is not None
        assert row[0].utcoffset() != timedelta(0), "the database must use another time zone"
        created = run(create_task("user_1", TaskCreate(title="one")))
        toggled = run(toggle_task("user_1", created.id))
        tasks = [created, toggled, run(get_task("user_1", created.id)), *run(list_tasks("user_1"))]
    for task in tasks:
        assert (task.created_at.utcoffset(), task.updated_at.utcoffset()) == (timedelta(0),) * 2
        assert task.created_at == created.created_at
    assert created.created_at - row[0].astimezone(UTC) < timedelta(minutes=5)
