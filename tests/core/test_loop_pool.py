"""The awaiting driver's pool: how many connections there are, who waits, and what ends them."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from time import monotonic

import psycopg
import pytest

from core.injecting_proxy import InjectingProxy
from core.loop_operations import LOOPS, backend, connections_of, count_calls, sleep, turns
from support.polling import wait_until_async
from support.ports import bound_socket, closed_port, port_of
from taskcore import (
    AsyncDatabase,
    DatabaseClosed,
    NoConnection,
    TaskCreate,
    create_task,
    list_tasks,
    toggle_task,
)
from taskcore.execution import loop_pool
from taskcore.execution.connection import AsyncConnection

STATS = {
    "pool_min",
    "pool_max",
    "pool_size",
    "pool_available",
    "requests_waiting",
    # What telemetry of taskapi reads beside them.
    "requests_queued",
    "requests_wait_ms",
    "requests_errors",
}


@pytest.fixture
async def three(url: str) -> AsyncIterator[AsyncDatabase]:
    async with AsyncDatabase(url, min_size=0, max_size=3, timeout=20) as database:
        yield database


async def fill(database: AsyncDatabase, owner: str, number: int) -> set[int]:
    """Run so many operations at once; return the backends that they ran on."""
    await asyncio.gather(*(database.run(sleep(owner, 0.05)) for _ in range(number)))
    return set(await asyncio.gather(*(database.run(backend(owner)) for _ in range(number))))


# --- how many there are ---------------------------------------------------------------------------


async def test_connections_are_made_when_they_are_needed(three: AsyncDatabase, alice: str) -> None:
    assert three.stats()["pool_size"] == 0
    for _ in range(5):
        await three.run(list_tasks(alice))
    assert three.stats()["pool_size"] == 1
    assert len(await fill(three, alice, 3)) == 3
    assert three.stats()["pool_size"] == three.stats()["pool_available"] == 3


async def test_the_least_number_is_made_at_once_and_counted(url: str, alice: str) -> None:
    async with AsyncDatabase(url, min_size=2, max_size=4) as database:
        await wait_until_async(lambda: database.stats()["pool_available"] == 2)
        stats = database.stats()
        assert set(stats) >= STATS
        assert (stats["pool_min"], stats["pool_max"], stats["pool_size"]) == (2, 4, 2)
        assert stats["requests_queued"] == stats["requests_waiting"] == 0
        await fill(database, alice, 8)
        stats = database.stats()
        assert stats["requests_queued"] > 0 and stats["requests_errors"] == 0
        assert stats["requests_wait_ms"] > 0
        assert stats["connections_num"] == stats["pool_size"] == 4


async def test_what_was_lost_in_use_is_made_again(url: str, alice: str) -> None:
    async with AsyncDatabase(url, min_size=2, max_size=4, timeout=20) as database:
        await wait_until_async(lambda: database.stats()["pool_available"] == 2)
        running = asyncio.create_task(database.run(sleep(alice, 10)))
        await turns(2)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert database.stats()["pool_size"] == 1
        await wait_until_async(lambda: database.stats()["pool_available"] == 2)


async def test_what_was_lost_while_idle_is_made_again_by_the_next_operation(
    injected: tuple[InjectingProxy, str], alice: str
) -> None:
    """Not before: a serverless database that has suspended itself would be woken up at once."""
    proxy, url = injected
    async with AsyncDatabase(url, min_size=2, max_size=4, timeout=20) as database:
        await wait_until_async(lambda: database.stats()["pool_available"] == 2)
        made = proxy.connections
        proxy.cut()
        await wait_until_async(lambda: not connections_of(database), "the end of both")
        await turns()
        assert database.stats()["pool_size"] == 0 and proxy.connections == made
        assert database.stats()["connections_lost"] == 2
        await database.run(list_tasks(alice))
        await wait_until_async(lambda: database.stats()["pool_available"] == 2)


async def test_there_are_never_more_than_the_most(
    url: str, alice: str, admin: psycopg.Connection, make_user: Callable[[], str]
) -> None:
    name = make_user()
    most = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
    seen: set[int] = set()
    async with AsyncDatabase(f"{url}?application_name={name}", max_size=5, timeout=60) as database:

        async def use(number: int) -> None:
            running = asyncio.create_task(database.run(list_tasks(alice)))
            await turns(number % 7)
            if number % 5 == 0:
                running.cancel()  # its connection is hung up, and another one is made
            await asyncio.wait([running])
            seen.add(database.stats()["pool_size"])
            row = admin.execute(most, [name]).fetchone()
            assert row is not None
            # One that was hung up may still be ending there.
            assert row[0] <= 5 + 40

        await asyncio.gather(*(use(number) for number in range(200)))
        assert max(seen) == 5
        await wait_until_async(lambda: database.stats()["pool_available"] >= 1)
        assert database.stats()["pool_size"] <= 5


async def test_an_old_connection_is_replaced_when_it_is_next_needed(
    three: AsyncDatabase, alice: str
) -> None:
    first = await three.run(backend(alice))
    assert await three.run(backend(alice)) == first
    (connection,) = connections_of(three)
    connection._connection.expires_at = monotonic()
    second = await three.run(backend(alice))
    assert second != first
    assert await three.run(backend(alice)) == second
    assert three.stats()["pool_size"] == 1


async def test_connections_that_nothing_needs_are_closed_one_by_one(
    three: AsyncDatabase, alice: str
) -> None:
    await fill(three, alice, 3)
    pool = three._open_pool()
    sizes = []
    for _ in range(6):
        pool._shrink_at = monotonic()
        pool._sweep()
        sizes.append(three.stats()["pool_size"])
    # The first interval only notes how many were idle at every moment of the next.
    assert sizes == [3, 2, 1, 0, 0, 0]


async def test_connections_that_are_needed_are_kept(three: AsyncDatabase, alice: str) -> None:
    """The control of the test before: all three are in use between two looks."""
    pool = three._open_pool()
    for _ in range(4):
        await fill(three, alice, 3)
        pool._shrink_at = monotonic()
        pool._sweep()
    assert three.stats()["pool_size"] == 3


# --- who waits ------------------------------------------------------------------------------------


async def test_operations_that_wait_are_served_in_turn(url: str, alice: str) -> None:
    served = []
    async with AsyncDatabase(url, max_size=1, timeout=30) as database:
        await database.run(backend(alice))

        async def use(number: int) -> None:
            await database.run(backend(alice))
            served.append(number)

        tasks = [asyncio.create_task(use(number)) for number in range(40)]
        await asyncio.gather(*tasks)
    assert served == list(range(40))


async def test_only_so_many_operations_wait(url: str, alice: str) -> None:
    async with AsyncDatabase(url, max_size=1, max_waiting=2, timeout=30) as database:
        await database.run(list_tasks(alice))
        running = [asyncio.create_task(database.run(sleep(alice, 0.2))) for _ in range(3)]
        await turns(2)
        assert database.stats()["requests_waiting"] == 2
        with pytest.raises(NoConnection):
            await database.run(list_tasks(alice))
        assert database.stats()["requests_errors"] == 1
        await asyncio.gather(*running)
        assert await database.run(list_tasks(alice)) == []


# --- a server that is away ------------------------------------------------------------------------


async def test_while_the_server_is_away_one_attempt_is_made_at_a_time(
    alice: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    attempts: list[float] = []
    at_once = running = failed = 0
    connect = AsyncConnection.connect

    async def counted(*args: object, **terms: object) -> AsyncConnection:
        nonlocal at_once, running, failed
        attempts.append(monotonic())
        counts = failed > 0  # until then, each operation may have one made for it
        running += counts
        at_once = max(at_once, running)
        try:
            return await connect(*args, **terms)  # type: ignore[arg-type]
        finally:
            running -= counts
            failed += 1

    monkeypatch.setattr(AsyncConnection, "connect", counted)
    with closed_port() as port, caplog.at_level(logging.WARNING):
        address = f"postgresql://user:hidden@127.0.0.1:{port}/none"
        async with AsyncDatabase(address, max_size=10, timeout=2) as database:
            results = await asyncio.gather(
                *(database.run(list_tasks(alice)) for _ in range(10)), return_exceptions=True
            )
            assert {type(result) for result in results} == {NoConnection}
            causes = {str(result.__cause__) for result in results if result is not None}  # type: ignore[union-attr]
            assert all("refused" in cause for cause in causes)
            assert database.stats()["connections_errors"] == len(attempts)
    assert at_once == 1
    # After the first ones: pauses of 0.05, 0.1, 0.2, 0.4 and then 0.5 seconds.
    assert 2 <= len(attempts) <= 20
    (line,) = [each for each in caplog.messages if "error connecting" in each]
    assert "refused" in line and "hidden" not in line


async def test_when_the_server_is_back_all_that_wait_are_served(url: str, alice: str) -> None:
    with bound_socket() as listener:
        upstream = psycopg.conninfo.conninfo_to_dict(url)
        away = url.replace(f":{upstream['port']}/", f":{port_of(listener)}/")
        async with AsyncDatabase(away, min_size=2, max_size=4, timeout=30) as database:
            running = [asyncio.create_task(database.run(list_tasks(alice))) for _ in range(20)]
            await wait_until_async(lambda: database.stats()["connections_errors"] >= 2)
            listener.listen()
            forwarding = asyncio.create_task(_forward(listener, upstream))
            assert await asyncio.gather(*running) == [[]] * 20
            await wait_until_async(lambda: database.stats()["pool_available"] >= 2)
        forwarding.cancel()
        await asyncio.wait([forwarding])


async def _forward(listener: socket.socket, upstream: Mapping[str, object]) -> None:
    """Pass everything on to the server."""

    async def carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65_536):
                sink.write(data)
                await sink.drain()
        finally:
            sink.close()

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_connection(str(upstream["host"]), str(upstream["port"]))
        await asyncio.gather(carry(reader, forth), carry(back, writer), return_exceptions=True)

    async with await asyncio.start_server(client, sock=listener.dup()) as server:
        await server.serve_forever()


async def test_an_operation_that_comes_as_the_last_attempt_ends_gets_one_of_its_own(
    alice: str,
) -> None:
    """The attempt has seen that nothing waits, and has not been taken off the list yet."""
    with closed_port() as port:
        address = f"postgresql://user@127.0.0.1:{port}/none"
        async with AsyncDatabase(address, min_size=1, max_size=1, timeout=20) as database:
            (attempt,) = database._open_pool()._connecting

            async def come() -> None:
                while not attempt.done():  # noqa: ASYNC110 - it has to come in that very turn
                    await asyncio.sleep(0)
                await database.run(list_tasks(alice))

            running = asyncio.create_task(come())
            await wait_until_async(lambda: database.stats()["connections_errors"] >= 3)
            running.cancel()
            await asyncio.wait([running])


async def test_a_process_without_descriptors_tries_again_at_its_pace(
    url: str, alice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = 0
    dup = os.dup

    def limited(descriptor: int) -> int:
        nonlocal refused
        if refused < 3:
            refused += 1
            raise OSError(errno.EMFILE, "Too many open files")
        return dup(descriptor)

    monkeypatch.setattr(os, "dup", limited)
    async with AsyncDatabase(url, max_size=1, timeout=20) as database:
        assert await database.run(list_tasks(alice)) == []
        assert refused == database.stats()["connections_errors"] == 3


# --- the end --------------------------------------------------------------------------------------


async def test_closing_wakes_what_waits_and_lets_the_running_end(url: str, alice: str) -> None:
    database = AsyncDatabase(url, max_size=1, timeout=30)
    await database.open()
    await database.run(list_tasks(alice))
    running = asyncio.create_task(database.run(sleep(alice, 0.3)))
    await turns(2)
    waiting = [asyncio.create_task(database.run(list_tasks(alice))) for _ in range(2)]
    await turns(2)
    (connection,) = connections_of(database)
    await database.close()
    for each in waiting:
        with pytest.raises(DatabaseClosed):
            await each
    assert not running.done() and connection._descriptor is not None
    await running
    assert connection._descriptor is None, "its connection is closed"


@pytest.mark.parametrize("loop", LOOPS)
def test_closing_ends_what_is_connecting(loop: str, alice: str) -> None:
    """The address takes the connection and says nothing."""

    async def use(port: int) -> None:
        address = f"postgresql://user@127.0.0.1:{port}/none"
        async with AsyncDatabase(address, min_size=2, max_size=2, timeout=30) as database:
            waiting = asyncio.create_task(database.run(list_tasks(alice)))
            await turns(5)
            assert len(database._open_pool()._connecting) == 2
        with pytest.raises(DatabaseClosed):
            await waiting

    async def leave_open(port: int) -> None:
        address = f"postgresql://user@127.0.0.1:{port}/none"
        await AsyncDatabase(address, min_size=2, max_size=2, timeout=30).open()
        await turns(5)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        for how in (use, leave_open):
            began = monotonic()
            with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
                runner.run(how(port_of(listener)))
            assert monotonic() - began < 20, "it did not wait for the address"


async def test_a_close_that_is_cancelled_has_closed_the_connections(url: str, alice: str) -> None:
    database = AsyncDatabase(url, min_size=2, max_size=2)
    await database.open()
    await wait_until_async(lambda: database.stats()["pool_available"] == 2)
    connections = connections_of(database)
    closing = asyncio.create_task(database.close())
    await asyncio.sleep(0)
    closing.cancel()
    await asyncio.wait([closing])
    assert [each._descriptor for each in connections] == [None, None]
    assert not database.is_open


async def test_what_kept_it_from_connecting_is_the_cause() -> None:
    with closed_port() as port:
        address = f"postgresql://user@127.0.0.1:{port}/none"
        async with AsyncDatabase(address, timeout=0.5) as database:
            with pytest.raises(NoConnection) as raised:
                await database.run(list_tasks("user_1"))
    assert "refused" in str(raised.value.__cause__)


async def test_no_timer_is_left_when_all_is_closed(
    url: str, alice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop_pool, "_SWEEP_SECONDS", 0.02)
    sweeps = count_calls(monkeypatch, loop_pool.LoopPool, "_sweep")
    async with AsyncDatabase(url, max_size=1) as database:
        task = await database.run(create_task(alice, TaskCreate(title="one")))
        await database.run(toggle_task(alice, task.id))
        await wait_until_async(lambda: sweeps() >= 2, "the control: there are sweeps")
    before = sweeps()
    await asyncio.sleep(0.2)
    assert sweeps() <= before + 1


async def test_an_operation_that_is_closed_while_it_waits_takes_no_connection(
    url: str, alice: str
) -> None:
    """A coroutine's close() raises GeneratorExit in it, and no CancelledError."""
    async with AsyncDatabase(url, max_size=1, timeout=20) as database:
        await database.run(list_tasks(alice))
        connection = database._pool_of_this_loop().take()
        assert connection is not None
        waiting = database.run(list_tasks(alice))
        waiting.send(None)
        assert database.stats()["requests_waiting"] == 1, "the control: it waits"
        waiting.close()
        assert database.stats()["requests_waiting"] == 0
        database._pool_of_this_loop()._free(connection)
        assert await database.run(list_tasks(alice)) == []
