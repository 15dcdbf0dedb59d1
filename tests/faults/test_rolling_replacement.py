"""A deploy under load: a new instance takes over the listening socket, and no request fails.

A draining instance closes each connection after its answer, so clients move to the new instance.
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
REPLACEMENTS = 5 if FULL else 1

# Ends a process and returns its exit code; the set holds the clients that wait for an answer.
Stop = Callable[["subprocess.Popen[bytes]", set[int]], int]


def terminate(process: subprocess.Popen[bytes], _: set[int]) -> int:
    process.send_signal(signal.SIGTERM)
    return process.wait(60)


def kill(process: subprocess.Popen[bytes], waiting: set[int]) -> int:
    # The old instance still has all connections, so all clients wait once it is stopped.
    process.send_signal(signal.SIGSTOP)
    wait_until(lambda: len(waiting) == CLIENTS, "a request of each client in flight")
    process.kill()
    return process.wait(60)


def replace_instances(
    servers: ServersOnOneSocket, user: str, stop: Stop
) -> tuple[list[Answer], list[int]]:
    """Replace instances under load; return the answers, and the exit codes of the old instances."""
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
            for _ in range(REPLACEMENTS):
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


def test_instances_are_replaced_without_a_failed_request(
    make_servers: MakeServers, url: str, alice: str, figure: Figure
) -> None:
    answers, codes = replace_instances(
        make_servers(url, TASKAPI_DRAIN_SECONDS="1"), alice, terminate
    )
    assert {answer.status for answer in answers} == {200}
    assert codes == [0] * REPLACEMENTS
    figure(f"{REPLACEMENTS} replacements under load: {len(answers)} requests, 0 failed")


def test_a_killed_instance_fails_a_request(make_servers: MakeServers, url: str, alice: str) -> None:
    """Control: a failed request is seen."""
    answers, codes = replace_instances(make_servers(url), alice, kill)
    assert 0 in {answer.status for answer in answers}
    assert codes == [-signal.SIGKILL] * REPLACEMENTS
