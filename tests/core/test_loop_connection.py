"""The awaiting driver's connections: what arrives while they are idle, and how they end."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
from collections.abc import Awaitable, Callable

import psycopg
import pytest

from core.injecting_proxy import ERROR, FATAL, NOTICE, SETTING, InjectingProxy
from core.loop_operations import (
    backend,
    connections_of,
    count_calls,
    descriptors,
    take_numbers,
    turns,
)
from support.polling import wait_until_async
from taskcore import (
    AsyncDatabase,
    DeadlineExceeded,
    Op,
    TaskCreate,
    create_task,
    list_tasks,
    toggle_task,
)
from taskcore.execution.loop_connection import LoopConnection
from taskcore.execution.op import Row, Steps, rows
from taskcore.tasks import operations

BODY = TaskCreate(title="one")


# --- what arrives while it is idle ----------------------------------------------------------------


@pytest.mark.parametrize(
    "harmless", [NOTICE, SETTING, NOTICE + SETTING], ids=["notice", "setting", "both"]
)
async def test_a_notice_or_a_new_setting_leaves_an_idle_connection_as_it_is(
    harmless: bytes, one: AsyncDatabase, proxy: InjectingProxy, alice: str
) -> None:
    before = await one.run(backend(alice))
    proxy.inject(harmless)
    assert await one.run(backend(alice)) == before, "it is found at the next operation"
    proxy.inject(harmless)
    (connection,) = connections_of(one)
    await wait_until_async(lambda: not connection._poll.poll(0), "the message is read")
    assert await one.run(backend(alice)) == before, "it was read by the event loop"


async def test_settings_that_the_server_reports_leave_a_connection_as_it_is(
    url: str, alice: str
) -> None:
    """A change of TimeZone is reported, and not an answer to anything."""
    async with AsyncDatabase(url, max_size=1) as database:
        before = await database.run(backend(alice))
        (connection,) = connections_of(database)
        connection._pgconn.exit_pipeline_mode()
        connection._pgconn.exec_(b"SET TimeZone = 'Asia/Tokyo'")
        assert connection._pgconn.parameter_status(b"TimeZone") == b"Asia/Tokyo"
        assert await database.run(backend(alice)) == before


@pytest.mark.parametrize("message", [FATAL, ERROR, NOTICE + FATAL], ids=["fatal", "error", "both"])
async def test_an_error_ends_an_idle_connection_although_its_socket_stays_open(
    message: bytes, one: AsyncDatabase, proxy: InjectingProxy, alice: str
) -> None:
    task = await one.run(create_task(alice, BODY))
    before = await one.run(backend(alice))
    proxy.inject(message)
    # A write, which is not repeated: it does not begin on the connection that has ended.
    assert (await one.run(toggle_task(alice, task.id))).completed
    assert await one.run(backend(alice)) != before
    before = await one.run(backend(alice))
    proxy.inject(message)
    await wait_until_async(lambda: not connections_of(one), "the end of the connection")
    assert await one.run(backend(alice)) != before


async def test_a_backend_that_was_terminated_while_idle_is_found_without_a_round_trip(
    one: AsyncDatabase, proxy: InjectingProxy, alice: str, admin: psycopg.Connection
) -> None:
    task = await one.run(create_task(alice, BODY))
    pid = await one.run(backend(alice))
    proxy.forget()
    await one.run(toggle_task(alice, task.id))
    usual = proxy.messages["S"]
    # Waits for its end, and the event loop meanwhile sees nothing of it.
    admin.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])
    proxy.forget()
    assert not (await one.run(toggle_task(alice, task.id))).completed
    assert proxy.messages["S"] == usual
    assert await one.run(backend(alice)) != pid


async def test_nothing_calls_back_without_end_after_the_server_has_closed(
    injected: tuple[InjectingProxy, str], alice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy, url = injected
    calls = count_calls(monkeypatch, LoopConnection, "_readable")
    async with AsyncDatabase(url, max_size=1) as database:
        await database.run(backend(alice))
        before = calls()
        proxy.cut()
        await wait_until_async(lambda: not connections_of(database), "the end of the connection")
        await turns()
        assert 1 <= calls() - before <= 2


async def test_a_descriptor_at_the_end_of_its_stream_calls_back_without_end() -> None:
    """The control: what a connection would do that is not hung up."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        calls = 0

        def readable() -> None:
            nonlocal calls
            calls += 1

        asyncio.get_running_loop().add_reader(ours, readable)
        theirs.shutdown(socket.SHUT_RDWR)
        await turns()
        asyncio.get_running_loop().remove_reader(ours)
        assert calls > 100


# --- how it ends ----------------------------------------------------------------------------------


class Ending:
    """What a way to end a connection may use."""

    def __init__(
        self, database: AsyncDatabase, proxy: InjectingProxy, owner: str, admin: psycopg.Connection
    ) -> None:
        self.database = database
        self.proxy = proxy
        self.owner = owner
        self.admin = admin

    async def held(self, **terms: float) -> asyncio.Task[list[Row]]:
        """An operation whose whole answer the proxy holds back."""
        self.proxy.hold()
        op: Op[list[Row]] = list_tasks(self.owner).with_result(list)
        running = asyncio.create_task(self.database.run(op, **terms))
        await wait_until_async(lambda: self.proxy.holds_an_answer, "the answer")
        return running


async def terminated(ending: Ending) -> None:
    pid = await ending.database.run(backend(ending.owner))
    ending.admin.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])


async def cut(ending: Ending) -> None:
    ending.proxy.cut()


async def reported(ending: Ending) -> None:
    ending.proxy.inject(FATAL)


async def cancelled(ending: Ending) -> None:
    running = await ending.held()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    ending.proxy.release()


async def late(ending: Ending) -> None:
    running = await ending.held(timeout=0.5)
    with pytest.raises(DeadlineExceeded):
        await running
    ending.proxy.release()


async def lost_in_an_answer(ending: Ending) -> None:
    running = await ending.held()
    ending.proxy.release(but=1)
    ending.proxy.cut()
    ending.proxy.release()
    assert await running == [], "a read is repeated on another connection"


async def refused_by_its_socket(ending: Ending) -> None:
    (connection,) = connections_of(ending.database)
    with socket.socket(fileno=os.dup(connection._pgconn.socket)) as same:
        same.shutdown(socket.SHUT_WR)
    assert await ending.database.run(list_tasks(ending.owner)) == []


async def failed_while_sending(ending: Ending) -> None:
    def steps(_: str) -> Steps[list[Row]]:
        return (yield from rows(operations._LIST, owner=object()))

    with pytest.raises(psycopg.ProgrammingError):
        await ending.database.run(Op(ending.owner, steps, (), list))


async def closed(ending: Ending) -> None:
    await ending.database.close()


ENDS: dict[str, Callable[[Ending], Awaitable[None]]] = {
    function.__name__: function
    for function in (
        terminated,
        cut,
        reported,
        cancelled,
        late,
        lost_in_an_answer,
        refused_by_its_socket,
        failed_while_sending,
        closed,
    )
}


@pytest.mark.parametrize("end", ENDS)
async def test_a_connection_that_has_ended_watches_no_descriptor_and_leaves_none_open(
    end: str,
    injected: tuple[InjectingProxy, str],
    alice: str,
    admin: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    proxy, url = injected
    calls = count_calls(monkeypatch, LoopConnection, "_readable")
    gc.collect()  # connections of tests before
    before = descriptors()
    # Without a connection that is always kept, none is made in the place of this one.
    database = AsyncDatabase(url, min_size=0, max_size=1, timeout=20)
    await database.open()
    await database.run(list_tasks(alice))
    (connection,) = connections_of(database)
    watched = connection._descriptor
    assert watched is not None
    numbers = {watched, connection._pgconn.socket}
    loop = asyncio.get_running_loop()
    # The control: it is watched, and the look at this restores it.
    assert loop.remove_reader(watched)
    loop.add_reader(watched, connection._readable)

    await ENDS[end](Ending(database, proxy, alice, admin))
    await wait_until_async(lambda: connection._descriptor is None, "the end of the connection")
    await database.close()
    assert not loop.remove_reader(watched) and not loop.remove_writer(watched)
    # The proxy's threads close their sockets in their own time.
    await wait_until_async(lambda: descriptors() <= before, "the end of all descriptors")
    assert not numbers & before

    # The numbers belong to other files now, and these are readable.
    taken = take_numbers(numbers)
    for writer in taken[1::2]:
        os.write(writer, b"x")
    reads = calls()
    await turns()
    connection.hang_up()  # once more: it must not close what has its number now
    for descriptor in taken:
        os.close(descriptor)
    assert calls() == reads


async def test_hanging_up_again_changes_nothing(one: AsyncDatabase, alice: str) -> None:
    await one.run(backend(alice))
    (connection,) = connections_of(one)
    for _ in range(3):
        connection.hang_up()
        assert not connection.is_usable()
    assert await one.run(list_tasks(alice)) == []
    assert one.stats()["pool_size"] == 1
