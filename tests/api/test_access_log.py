"""The access log: one write for each turn of the loop, whole lines, none lost but by kill -9."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from taskapi.access_log import AccessLog

WRITERS = 4
LINES = 2_000


def lines(number: int, length: int = 100) -> list[bytes]:
    return [f"{n:08} ".encode() + b"x" * (length - 10) + b"\n" for n in range(number)]


@pytest.fixture
def messages() -> Iterator[tuple[int, socket.socket]]:
    """A descriptor of which each write arrives as a message of its own, and where it arrives."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        theirs.settimeout(30)
        yield ours.fileno(), theirs


async def test_the_lines_of_a_turn_are_one_write(messages: tuple[int, socket.socket]) -> None:
    descriptor, reader = messages
    log = AccessLog(descriptor)
    for turn in range(3):
        sent = lines(turn + 1)
        for line in sent:
            log.add(line)
        assert select.select([reader], [], [], 0)[0] == [], "not before the turn has ended"
        await asyncio.sleep(0)
        assert reader.recv(65_536) == b"".join(sent)
        assert select.select([reader], [], [], 0)[0] == []


async def test_a_write_has_whole_lines_and_no_more_than_pipes_keep_together(
    messages: tuple[int, socket.socket],
) -> None:
    descriptor, reader = messages
    log = AccessLog(descriptor)
    sent = [line for length in (100, 1_000, 3_000, 4_096, 11) for line in lines(9, length)]
    for line in sent:
        log.add(line)
    await asyncio.sleep(0)
    received: list[bytes] = []
    while b"".join(received) != b"".join(sent):
        received.append(reader.recv(65_536))
        assert received[-1].endswith(b"\n")
        assert len(received[-1]) <= select.PIPE_BUF
    # The control: they are joined where that is possible.
    assert len(received) < len(sent) / 1.5


async def test_a_line_beyond_that_is_written_by_itself(
    messages: tuple[int, socket.socket],
) -> None:
    descriptor, reader = messages
    log = AccessLog(descriptor)
    small, large = lines(1, 50)[0], lines(1, 9_000)[0]
    for line in (small, large, small):
        log.add(line)
    await asyncio.sleep(0)
    assert [reader.recv(65_536) for _ in range(3)] == [small, large, small]


@pytest.mark.parametrize("blocking", [True, False], ids=["blocking", "not blocking"])
@pytest.mark.parametrize("kind", ["pipe", "stream"])
def test_short_writes_and_a_full_descriptor_lose_nothing(kind: str, blocking: bool) -> None:
    if kind == "pipe":
        source, sink = os.pipe()
    else:
        left, right = socket.socketpair()
        for each in (left, right):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
        source, sink = left.detach(), right.detach()
    os.set_blocking(sink, blocking)
    sent = b"".join(lines(5_000))
    received = bytearray()
    started = threading.Event()

    def read() -> None:
        started.wait(30)
        while len(received) < len(sent):
            received.extend(os.read(source, 777))

    reader = threading.Thread(target=read)
    reader.start()

    async def write() -> None:
        log = AccessLog(sink)
        for line in sent.splitlines(keepends=True):
            log.add(line)
        started.set()
        await asyncio.sleep(0)

    asyncio.run(write())
    reader.join(60)
    assert bytes(received) == sent
    for descriptor in (source, sink):
        os.close(descriptor)


async def test_a_log_that_cannot_be_written_raises_nothing() -> None:
    source, sink = os.pipe()
    log = AccessLog(sink)
    os.close(source)
    log.add(lines(1)[0])
    await asyncio.sleep(0)
    os.close(sink)
    log.add(lines(1)[0])
    await asyncio.sleep(0)
    assert log._lines == []


def test_lines_of_a_loop_that_has_ended_come_with_the_next(
    messages: tuple[int, socket.socket],
) -> None:
    descriptor, reader = messages
    log = AccessLog(descriptor)
    first, second, third, fourth = lines(4)

    async def add(line: bytes) -> None:
        log.add(line)

    loop = asyncio.new_event_loop()
    loop.call_soon(log.add, first)
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()  # before the turn in which the line was to be written
    assert select.select([reader], [], [], 0)[0] == []
    asyncio.run(add(second))
    assert reader.recv(65_536) == first + second
    log.add(third)  # without a loop
    assert reader.recv(65_536) == third
    asyncio.run(add(fourth))
    assert reader.recv(65_536) == fourth


# --- processes ------------------------------------------------------------------------------------

# Adds so many lines, some in each turn; then it ends in the way that is asked for.
PROGRAM = """
import asyncio, os, signal, sys
from taskapi.access_log import AccessLog

name, number, how = sys.argv[1], int(sys.argv[2]), sys.argv[3]
log = AccessLog(1)

async def main():
    for n in range(number):
        log.add(f"{name} {n:06} ".encode() + b"x" * (n % 300) + b"\\n")
        if n % 10 == 9 and n != number - 1:
            await asyncio.sleep(0)
    if how == "exit":
        sys.exit(3)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "fork":
        child = os.fork()
        if child == 0:
            log.add(b"child\\n")
            return
        os.waitpid(child, 0)

asyncio.run(main())
"""


def start(name: str, number: int, how: str, output: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", PROGRAM, name, str(number), how]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(command, stdout=output, env=environment)


def output_of(how: str, number: int = 95) -> tuple[list[bytes], int]:
    process = start("one", number, how, subprocess.PIPE)
    output, _ = process.communicate(timeout=60)
    found = output.splitlines(keepends=True)
    assert all(line.endswith(b"\n") for line in found)
    return found, process.returncode


def expected(number: int) -> list[bytes]:
    return [f"one {n:06} ".encode() + b"x" * (n % 300) + b"\n" for n in range(number)]


@pytest.mark.parametrize(("how", "code"), [("return", 0), ("exit", 3)])
def test_a_process_that_ends_has_written_all_lines(how: str, code: int) -> None:
    assert output_of(how) == (expected(95), code)


def test_a_kill_loses_the_lines_of_one_turn_at_most() -> None:
    found, code = output_of("kill")
    assert code == -signal.SIGKILL
    assert found == expected(90), "the last turn had five"


def test_a_fork_writes_no_line_of_its_parent() -> None:
    found, _ = output_of("fork")
    # Of the parent, the lines of the turn of the fork come after those of the child.
    assert sorted(found) == sorted([*expected(95), b"child\n"])


def test_lines_of_processes_that_share_a_pipe_are_not_mixed() -> None:
    source, sink = os.pipe()
    # Small, so that the writers find it full again and again.
    with open(source, "rb", buffering=0) as reader:
        processes = [start(f"writer{n}", LINES, "return", sink) for n in range(WRITERS)]
        os.close(sink)
        received = bytearray()
        while part := reader.read(1_000):
            received += part
        assert [process.wait(60) for process in processes] == [0] * WRITERS
    found: dict[bytes, list[bytes]] = {}
    for line in received.splitlines(keepends=True):
        found.setdefault(bytes(line.split()[0]), []).append(bytes(line))
    assert len(found) == WRITERS
    for name, theirs in found.items():
        wanted = [line.replace(b"one", name) for line in expected(LINES)]
        assert theirs == wanted, "each line is whole, and they are in order"
