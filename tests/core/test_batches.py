"""Rows that are handed to a sink in batches while they arrive, and what can happen meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg import pq

from core.batches import Batches, Hanging, add_tasks, in_batches
from core.loop_operations import backend
from support.counting_proxy import CountingProxy
from support.drivers import DRIVERS, Run
from support.sql import run_sql
from taskcore import (
    AsyncDatabase,
    ConnectionLost,
    DeadlineExceeded,
    TaskRead,
    UnknownUser,
    list_tasks,
)
from taskcore.errors import SchemaMissing
from taskcore.execution import wire
from taskcore.execution.op import Row
from taskcore.execution.wire import BATCH
from taskcore.tasks.fields import read_tasks

ONE: dict[str, Any] = {"min_size": 1, "max_size": 1}
# More than the sockets between PostgreSQL and a test hold: 20 MB.
LONG = 10_000
MANY = 2_000


def whole(run: Run, owner: str) -> list[TaskRead]:
    return run(list_tasks(owner))


@pytest.fixture(params=[True, False], ids=["chunks", "single rows"])
def libpq_mode(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """libpq's modes: chunks, and the single rows of versions before 17."""
    if request.param and not wire._CHUNKED:
        pytest.skip("this libpq has no chunks")
    monkeypatch.setattr(wire, "_CHUNKED", request.param)


@pytest.mark.usefixtures("libpq_mode")
@pytest.mark.parametrize("driver", DRIVERS)
def test_all_batches_but_the_last_go_to_the_sink(
    driver: str, url: str, admin: psycopg.Connection, make_user: Callable[[], str]
) -> None:
    with DRIVERS[driver](url, **ONE) as run:
        for number in (1, BATCH - 1, BATCH, BATCH + 1, 2 * BATCH, 2 * BATCH + 1, 3 * BATCH - 1):
            owner = make_user()
            add_tasks(admin, owner, number)
            sink = Batches(awaited=driver == "AsyncDatabase")
            last = run(in_batches(owner, sink))
            assert [len(batch) for batch in sink.taken] == [BATCH] * ((number - 1) // BATCH)
            assert 1 <= len(last) <= BATCH
            assert read_tasks([*sink.rows, *last]) == whole(run, owner)
            assert sink.restarts == 0


@pytest.mark.usefixtures("libpq_mode")
def test_the_parts_are_those_of_the_mode(
    url: str, admin: psycopg.Connection, alice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_tasks(admin, alice, 2 * BATCH)
    found: list[tuple[pq.ExecStatus, int]] = []
    load = wire._rows

    def noted(transformer: Any, result: pq.abc.PGresult) -> list[Row]:
        found.append((pq.ExecStatus(result.status), result.ntuples))
        return load(transformer, result)

    monkeypatch.setattr(wire, "_rows", noted)
    with DRIVERS["Database"](url, **ONE) as run:
        run(in_batches(alice, Batches(awaited=False)))
    chunks, single = (pq.ExecStatus.TUPLES_CHUNK, BATCH), (pq.ExecStatus.SINGLE_TUPLE, 1)
    assert found[-2:] == [chunks if wire._CHUNKED else single] * 2


@pytest.mark.usefixtures("libpq_mode")
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_list_that_is_refused_costs_no_connection(own_url: str, driver: str) -> None:
    run_sql(own_url, "INSERT INTO users (id) VALUES ('alice')")
    with DRIVERS[driver](own_url, **ONE) as run:
        before = run(backend("alice"))
        run_sql(own_url, "ALTER TABLE tasks RENAME TO away")
        with pytest.raises(SchemaMissing):
            run(in_batches("alice", Batches(awaited=driver == "AsyncDatabase")))
        run_sql(own_url, "ALTER TABLE away RENAME TO tasks")
        assert run(in_batches("alice", Batches(awaited=driver == "AsyncDatabase"))) == []
        assert run(backend("alice")) == before


@pytest.mark.usefixtures("libpq_mode")
def test_a_list_without_tasks_is_refused_as_without_a_sink(url: str, alice: str) -> None:
    with DRIVERS["Database"](url, **ONE) as run:
        assert run(in_batches(alice, Batches(awaited=False))) == []
        with pytest.raises(UnknownUser):
            run(in_batches("no such user", Batches(awaited=False)))


def test_in_a_session_the_whole_result_is_the_last_batch(
    run: Run, admin: psycopg.Connection, alice: str, request: pytest.FixtureRequest
) -> None:
    add_tasks(admin, alice, 2 * BATCH)
    kind = request.node.callspec.params["runner"]
    sink = Batches(awaited=kind == "AsyncDatabase")
    last = run(in_batches(alice, sink))
    assert len(last) == (BATCH if kind in DRIVERS else 2 * BATCH)
    assert len([*sink.rows, *last]) == 2 * BATCH


@pytest.mark.usefixtures("libpq_mode")
@pytest.mark.parametrize("driver", DRIVERS)
def test_after_a_lost_connection_the_rows_begin_anew(
    driver: str,
    counting_proxy: CountingProxy,
    counted_url: str,
    admin: psycopg.Connection,
    alice: str,
) -> None:
    add_tasks(admin, alice, MANY, LONG)
    cuts = iter([counting_proxy.cut])
    with DRIVERS[driver](counted_url, **ONE) as run:
        sink = Batches(lambda: next(cuts, bool)(), awaited=driver == "AsyncDatabase")
        last = run(in_batches(alice, sink))
        assert sink.restarts == 1
        assert read_tasks([*sink.rows, *last]) == whole(run, alice)


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_second_loss_is_reported(
    driver: str,
    counting_proxy: CountingProxy,
    counted_url: str,
    admin: psycopg.Connection,
    alice: str,
) -> None:
    add_tasks(admin, alice, MANY, LONG)
    with DRIVERS[driver](counted_url, **ONE) as run:
        sink = Batches(counting_proxy.cut, awaited=driver == "AsyncDatabase")
        with pytest.raises(ConnectionLost):
            run(in_batches(alice, sink))
        assert sink.restarts == 1
        assert len(whole(run, alice)) == MANY


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_sink_that_fails_leaves_nothing_of_its_rows_to_the_next_operation(
    driver: str, url: str, admin: psycopg.Connection, alice: str, bob: str
) -> None:
    add_tasks(admin, alice, 2 * BATCH)
    add_tasks(admin, bob, 1)

    def fail() -> None:
        raise OSError("no space left")

    with DRIVERS[driver](url, **ONE) as run:
        for _ in range(3):
            with pytest.raises(OSError, match="no space left"):
                run(in_batches(alice, Batches(fail, awaited=driver == "AsyncDatabase")))
            assert [task.user_id for task in whole(run, bob)] == [bob]


async def test_a_sink_has_the_deadline_of_the_operation(
    url: str, admin: psycopg.Connection, alice: str, bob: str
) -> None:
    add_tasks(admin, alice, 2 * BATCH)
    async with AsyncDatabase(url, **ONE) as database:
        with pytest.raises(DeadlineExceeded):
            await database.run(in_batches(alice, Hanging()), timeout=0.5)
        assert await database.run(list_tasks(bob)) == []


async def test_an_operation_that_is_cancelled_in_its_sink_gives_the_connection_back(
    url: str, admin: psycopg.Connection, alice: str, bob: str
) -> None:
    add_tasks(admin, alice, 2 * BATCH)
    async with AsyncDatabase(url, **ONE) as database:
        sink = Hanging()
        running = asyncio.create_task(database.run(in_batches(alice, sink)))
        await sink.began.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert await database.run(list_tasks(bob)) == []
