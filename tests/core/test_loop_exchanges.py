"""Operations of the awaiting driver that are cancelled, late or lost, and what is left of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from time import monotonic
from typing import Any

import psycopg
import pytest

from core.batches import Batches, Hanging, add_tasks, in_batches
from core.injecting_proxy import InjectingProxy, message
from core.loop_operations import LOOPS, backend, connections_of, count_calls, sleep, texts, turns
from support.polling import wait_until_async
from taskcore import (
    AsyncDatabase,
    ConnectionLost,
    DeadlineExceeded,
    NoConnection,
    TaskCreate,
    UnknownUser,
    create_task,
    delete_task,
    list_tasks,
    toggle_task,
)
from taskcore.execution.loop_connection import LoopConnection
from taskcore.execution.wire import BATCH

BODY = TaskCreate(title="one")


# --- cancelled ------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", [0, 1, 40])
async def test_nothing_of_a_cancelled_operations_answer_reaches_another_owner(
    missing: int, one: AsyncDatabase, proxy: InjectingProxy, alice: str, bob: str
) -> None:
    await one.run(create_task(alice, BODY))
    bobs = await one.run(create_task(bob, BODY))
    before = await one.run(backend(alice))
    proxy.hold()
    running = asyncio.create_task(one.run(list_tasks(alice)))
    await wait_until_async(lambda: proxy.holds_an_answer, "the answer")
    if missing:
        proxy.release(but=missing)
        await turns(5)
    running.cancel()
    if not missing:
        proxy.release()
    with pytest.raises(asyncio.CancelledError):
        await running
    proxy.release()
    assert [task.id for task in await one.run(list_tasks(bob))] == [bobs.id]
    assert await one.run(backend(bob)) != before
    assert one.stats()["pool_size"] == one.stats()["pool_available"] == 1


async def test_what_is_not_cancelled_keeps_its_connection(
    one: AsyncDatabase, proxy: InjectingProxy, alice: str
) -> None:
    """The control: an answer that was held back is read on the same connection."""
    before = await one.run(backend(alice))
    proxy.hold()
    running = asyncio.create_task(one.run(list_tasks(alice)))
    await wait_until_async(lambda: proxy.holds_an_answer, "the answer")
    proxy.release(but=1)
    await turns(5)
    proxy.release()
    assert await running == []
    assert await one.run(backend(alice)) == before


async def test_a_connection_lent_in_the_turn_of_a_cancellation_goes_to_the_next(
    one: AsyncDatabase, alice: str, bob: str
) -> None:
    pool = one._open_pool()
    before = await one.run(backend(alice))
    lent = []

    async def first() -> None:
        await one.run(sleep(alice, 0.1))
        # Its connection was lent to the second a moment ago, which has not run since.
        lent.append(second.cancel())
        assert pool.stats()["requests_waiting"] == 1

    running = asyncio.create_task(first())
    await turns(2)
    second = asyncio.create_task(one.run(backend(alice)))
    third = asyncio.create_task(one.run(backend(bob)))
    await turns(2)
    assert pool.stats()["requests_waiting"] == 2
    with pytest.raises(asyncio.CancelledError):
        await second
    assert await third == before
    await running
    assert lent == [True]
    assert (pool.stats()["pool_size"], pool.stats()["pool_available"]) == (1, 1)
    assert await one.run(backend(bob)) == before


async def test_what_waits_for_a_connection_and_is_cancelled_leaves_the_queue(
    one: AsyncDatabase, alice: str
) -> None:
    before = await one.run(backend(alice))
    running = asyncio.create_task(one.run(sleep(alice, 0.1)))
    await turns(2)
    waiting = [asyncio.create_task(one.run(backend(alice))) for _ in range(3)]
    await turns(2)
    waiting[1].cancel()
    await turns(2)
    assert one.stats()["requests_waiting"] == 2
    await running
    assert [await waiting[0], await waiting[2]] == [before, before]


# --- late -----------------------------------------------------------------------------------------


async def test_a_late_write_is_of_unknown_outcome_and_a_late_read_is_not(
    one: AsyncDatabase, proxy: InjectingProxy, alice: str
) -> None:
    task = await one.run(create_task(alice, BODY))
    for op, writes in ((toggle_task(alice, task.id), True), (list_tasks(alice), False)):
        before = await one.run(backend(alice))
        proxy.hold()
        began = monotonic()
        with pytest.raises(DeadlineExceeded) as late:
            await one.run(op, timeout=0.4)
        assert monotonic() - began >= 0.4
        assert late.value.outcome_unknown is writes
        proxy.release()
        assert await one.run(backend(alice)) != before, "the connection was hung up"


@pytest.mark.parametrize("seconds", [0.05, 0.1, 0.2])
async def test_a_near_deadline_is_looked_at_when_it_comes(
    seconds: float, one: AsyncDatabase, proxy: InjectingProxy, alice: str
) -> None:
    """Otherwise the sweep would come up to a quarter of a second later."""
    pool = one._open_pool()
    await one.run(backend(alice))
    proxy.hold()
    began = monotonic()
    running = asyncio.create_task(one.run(list_tasks(alice), timeout=seconds))
    await turns(1)
    (connection,) = connections_of(one)
    assert connection._ask is not None
    assert pool._sweep_at <= connection._ask.deadline
    with pytest.raises(DeadlineExceeded):
        await running
    assert monotonic() - began >= seconds
    proxy.release()


async def test_a_far_deadline_brings_no_sweep_of_its_own(
    one: AsyncDatabase, alice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control, and why there is a sweep: it costs nothing for each operation."""
    pool = one._open_pool()
    schedules = count_calls(monkeypatch, type(pool), "_schedule_sweep")
    sweeps = count_calls(monkeypatch, LoopConnection, "expire")
    for _ in range(20):
        await one.run(list_tasks(alice))
    assert schedules() <= sweeps() + 1


async def test_the_wait_for_a_connection_ends_at_its_deadline(
    injected: tuple[InjectingProxy, str], alice: str
) -> None:
    async with AsyncDatabase(injected[1], max_size=1, timeout=20, pool_timeout=0.1) as database:
        before = await database.run(backend(alice))
        running = asyncio.create_task(database.run(sleep(alice, 0.5)))
        await turns(2)
        began = monotonic()
        with pytest.raises(NoConnection) as refused:
            await database.run(toggle_task(alice, (await _made(alice))))
        assert monotonic() - began >= 0.1
        assert not refused.value.outcome_unknown
        await running
        # The control: afterwards there is one.
        assert await database.run(backend(alice)) == before


async def _made(owner: str) -> Any:
    return create_task(owner, BODY).args[0]


@pytest.mark.parametrize("loop", LOOPS)
def test_a_loop_that_was_late_does_not_refuse_an_answer_that_is_there(
    loop: str, injected: tuple[InjectingProxy, str], alice: str
) -> None:
    proxy, url = injected

    async def both() -> None:
        async with AsyncDatabase(url, max_size=1, timeout=20) as database:
            await database.run(create_task(alice, BODY))  # an empty list takes two round trips
            running = asyncio.create_task(database.run(list_tasks(alice), timeout=1))
            await asyncio.sleep(0)
            time.sleep(1.5)  # noqa: ASYNC251 - what the test is about
            assert len(await running) == 1
            # The control: the loop is late, and there is no answer.
            proxy.hold()
            running = asyncio.create_task(database.run(list_tasks(alice), timeout=1))
            await asyncio.sleep(0)
            time.sleep(1.5)  # noqa: ASYNC251
            with pytest.raises(DeadlineExceeded):
                await running
            proxy.release()

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(both())


# Of the answer to a Sync, in bytes.
_SYNC = 6


def _ended(connection: LoopConnection) -> Callable[[], bool]:
    return lambda: connection._descriptor is None


# --- lost -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", ["refusal", "nothing"])
async def test_a_refusal_that_came_before_the_loss_counts(
    kept: str, one: AsyncDatabase, proxy: InjectingProxy, alice: str
) -> None:
    """The answer is cut before the Sync's: at that point the server had refused the row."""
    await one.run(create_task(alice, BODY))
    proxy.hold()
    # A create is repeated when it is lost: the second attempt, on a new connection, is not held.
    running = asyncio.create_task(one.run(create_task("no such user", BODY)))
    await wait_until_async(lambda: proxy.holds_an_answer, "the answer")
    (connection,) = connections_of(one)
    proxy.forget()
    proxy.release(but=_SYNC if kept == "refusal" else None)
    proxy.cut()
    await wait_until_async(_ended(connection), "the end of the connection")
    proxy.release()
    with pytest.raises(UnknownUser):
        await running
    # The control: without the refusal it is lost, and so sent again.
    assert (proxy.messages["S"] > 0) is (kept == "nothing")


@pytest.mark.parametrize(
    "said",
    [
        # libpq closes a connection on which it does not know where the next message begins.
        message(b"Z", bytes(50_000)),
        # Twice, because a transaction block has two Syncs.
        message(b"Z", b"I") * 2,
    ],
    ids=["no message", "an end without an answer"],
)
async def test_what_nobody_asked_for_is_a_loss(
    said: bytes, one: AsyncDatabase, proxy: InjectingProxy, alice: str
) -> None:
    task = await one.run(create_task(alice, BODY))
    before = await one.run(backend(alice))
    proxy.hold()
    running = asyncio.create_task(one.run(list_tasks(alice)))
    await wait_until_async(lambda: proxy.holds_an_answer, "the answer")
    (connection,) = connections_of(one)
    proxy.inject(said)
    await wait_until_async(_ended(connection), "the end of the connection")
    proxy.release()
    assert [found.id for found in await running] == [task.id]
    assert await one.run(backend(alice)) != before


@pytest.mark.parametrize("but", [1, 6, 40])
async def test_a_write_whose_answer_is_cut_is_of_unknown_outcome(
    but: int, one: AsyncDatabase, proxy: InjectingProxy, alice: str
) -> None:
    task = await one.run(create_task(alice, BODY))
    proxy.hold()
    running = asyncio.create_task(one.run(toggle_task(alice, task.id)))
    await wait_until_async(lambda: proxy.holds_an_answer, "the answer")
    proxy.release(but=but)
    proxy.cut()
    with pytest.raises(ConnectionLost) as lost:
        await running
    assert lost.value.outcome_unknown
    proxy.release()
    assert (await one.run(list_tasks(alice)))[0].completed


async def test_reads_and_creates_are_repeated_once_and_other_writes_are_not(
    one: AsyncDatabase, proxy: InjectingProxy, alice: str
) -> None:
    task = await one.run(create_task(alice, BODY))
    for op, repeated in (
        (list_tasks(alice), True),
        (create_task(alice, BODY), True),
        (delete_task(alice, task.id), False),
    ):
        proxy.hold()
        running = asyncio.create_task(one.run(op))
        await wait_until_async(lambda: proxy.holds_an_answer, "the answer")
        (connection,) = connections_of(one)
        proxy.cut()
        await wait_until_async(_ended(connection), "the end of the connection")
        proxy.release()
        if repeated:
            await running
        else:
            with pytest.raises(ConnectionLost):
                await running
    assert len(await one.run(list_tasks(alice))) == 1


# --- batches --------------------------------------------------------------------------------------


async def test_reading_that_is_paused_does_not_call_back(
    url: str, admin: psycopg.Connection, alice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_tasks(admin, alice, 2_000, 10_000)  # more than the sockets hold
    calls = count_calls(monkeypatch, LoopConnection, "_readable")
    async with AsyncDatabase(url, max_size=1, timeout=30) as database:
        sink = Hanging()
        running = asyncio.create_task(database.run(in_batches(alice, sink)))
        await sink.began.wait()
        (connection,) = connections_of(database)
        await wait_until_async(lambda: connection._poll.poll(0), "the control: more to read")
        before = calls()
        await turns()
        assert calls() == before
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert connection._descriptor is None, "it was hung up between two batches"
        assert len(await database.run(list_tasks(alice))) == 2_000


async def test_a_loss_between_two_batches_begins_anew(
    one: AsyncDatabase,
    proxy: InjectingProxy,
    admin: psycopg.Connection,
    alice: str,
) -> None:
    add_tasks(admin, alice, 2_000, 10_000)
    cuts = iter([proxy.cut])
    sink = Batches(lambda: next(cuts, bool)(), awaited=True)
    last = await one.run(in_batches(alice, sink))
    assert sink.restarts == 1
    assert len(sink.rows) + len(last) == 2_000
    assert {len(batch) for batch in sink.taken} == {BATCH}


async def test_a_near_deadline_holds_after_a_batch_too(
    one: AsyncDatabase, proxy: InjectingProxy, admin: psycopg.Connection, alice: str
) -> None:
    add_tasks(admin, alice, 2_000, 10_000)
    pool = one._open_pool()

    def hold() -> None:
        proxy.hold()
        seen.append(pool._sweep_at)

    seen: list[float] = []
    with pytest.raises(DeadlineExceeded):
        await one.run(in_batches(alice, Batches(hold, awaited=True)), timeout=0.2)
    assert seen
    proxy.release()


async def test_answers_of_all_sizes_are_read(one: AsyncDatabase, alice: str) -> None:
    for length in (0, 1, 8_191, 8_192, 16_383, 16_384, 65_536, 1_000_000):
        assert [len(found) for found in await one.run(texts(alice, length))] == [length]
