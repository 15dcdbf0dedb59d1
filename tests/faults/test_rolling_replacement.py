"""A deploy under load: the new instance takes over the listening socket, and nobody notices.

Each answer of an instance that drains ends its connection, so that clients move to the other.
"""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from faults.servers_on_one_socket import MakeServers, ServersOnOneSocket
from support.figures import FULL, Figure
from support.load import Answer, send
from support.polling import wait_until

CLIENTS = 8
RATE = 200
SWAPS = 5 if FULL else 1

# Ends a process; the set holds who waits for an answer.
Stop = Callable[["subprocess.Popen[bytes]", set[int]], int]


def quietly(process: subprocess.Popen[bytes], _: set[int]) -> int:
    process.send_signal(signal.SIGTERM)
    return process.wait(60)


def harshly(process: subprocess.Popen[bytes], waiting: set[int]) -> int:
    # All connections are still the old instance's: stopped, it keeps everybody waiting.
    process.send_signal(signal.SIGSTOP)
    wait_until(lambda: len(waiting) == CLIENTS, "a request of everybody's in flight")
    process.kill()
    return process.wait(60)


def swapped(servers: ServersOnOneSocket, user: str, stop: Stop) -> tuple[list[Answer], list[int]]:
    """What clients were told while instances were replaced, and how the old ones ended."""
    answers: list[Answer] = []
    waiting: set[int] = set()
    over = threading.Event()

    def work(number: int) -> None:
        with servers.client(user) as client:
            while not over.wait(CLIENTS / RATE):
                waiting.add(number)
                answers.append(send(lambda: client.get("/api/tasks")))
                waiting.discard(number)

    def wait_for_more() -> None:
        wanted = len(answers) + RATE // 2
        wait_until(lambda: len(answers) >= wanted, "more answers")

    codes = []
    old = servers.start()
    with ThreadPoolExecutor(CLIENTS) as threads:
        working = [threads.submit(work, number) for number in range(CLIENTS)]
        try:
            for _ in range(SWAPS):
                wait_for_more()
                new = servers.start()
                wait_for_more()
                codes.append(stop(old, waiting))
                old = new
            wait_for_more()
        finally:
            over.set()
        for future in working:
            future.result(60)
    return answers, codes


def test_instances_are_swapped_without_a_failed_request(
    make_servers: MakeServers, url: str, alice: str, figure: Figure
) -> None:
    answers, codes = swapped(make_servers(url, TASKAPI_DRAIN_SECONDS="1"), alice, quietly)
    assert {answer.status for answer in answers} == {200}
    assert codes == [0] * SWAPS
    figure(f"{SWAPS} swaps under load: {len(answers)} requests, 0 failed")


def test_instances_that_are_killed_fail_somebody(
    make_servers: MakeServers, url: str, alice: str
) -> None:
    """The control: a failed request would be seen."""
    answers, codes = swapped(make_servers(url), alice, harshly)
    assert 0 in {answer.status for answer in answers}
    assert codes == [-signal.SIGKILL] * SWAPS
