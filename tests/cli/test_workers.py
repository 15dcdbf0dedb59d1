"""`serve --workers`: one socket, workers that are replaced, and an end that nobody notices."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from contextlib import suppress
from threading import Event, Thread

import httpx
import psutil
import pytest

from support.api_server import token
from support.command import Cli
from support.polling import wait_until
from support.ports import listening_socket, port_of


class Supervised:
    """A supervisor and its workers."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process = process
        self.port = port
        self.base = f"http://127.0.0.1:{port}"

    @property
    def workers(self) -> set[int]:
        with suppress(psutil.NoSuchProcess):
            children = psutil.Process(self.process.pid).children()
            return {c.pid for c in children if c.status() != psutil.STATUS_ZOMBIE}
        return set()

    def answers(self) -> bool:
        with suppress(httpx.TransportError):
            return httpx.get(f"{self.base}/health/ready", timeout=5).status_code == 200
        return False


@pytest.fixture
def supervised(cli: Cli, url: str, secret: str) -> Supervised:
    """Two workers that answer."""
    listener = listening_socket()
    port = port_of(listener)
    process = cli.start_on(
        *(listener, "serve", "--workers", 2),
        DATABASE_URL=url,
        BETTER_AUTH_SECRET=secret,
        TASKAPI_DRAIN_SECONDS="0.5",
    )
    supervised = Supervised(process, port)
    wait_until(lambda: len(supervised.workers) == 2 and supervised.answers(), "two workers")
    return supervised


def gone(workers: set[int]) -> bool:
    return not any(psutil.pid_exists(worker) for worker in workers)


def test_a_worker_that_dies_is_replaced(supervised: Supervised) -> None:
    before = supervised.workers
    for worker in before:
        os.kill(worker, signal.SIGKILL)
    wait_until(
        lambda: len(supervised.workers) == 2 and not supervised.workers & before, "new workers"
    )
    wait_until(supervised.answers, "an answer of theirs")
    supervised.process.send_signal(signal.SIGTERM)
    assert supervised.process.wait(30) == 0


def test_sigterm_drains_and_nothing_is_cut(supervised: Supervised, alice: str) -> None:
    """Requests without a break, up to where connections are refused: each is answered whole."""
    seen: list[int] = []
    broken: list[BaseException] = []
    refused, first = Event(), Event()

    def ask() -> None:
        headers = {"Authorization": f"Bearer {token(alice)}", "Connection": "close"}
        while not refused.is_set():
            try:
                seen.append(httpx.get(f"{supervised.base}/api/tasks", headers=headers).status_code)
                first.set()
            except httpx.ConnectError:
                refused.set()
            except httpx.TransportError as error:
                broken.append(error)

    asking = [Thread(target=ask) for _ in range(2)]
    for thread in asking:
        thread.start()
    assert first.wait(60)
    workers = supervised.workers
    supervised.process.send_signal(signal.SIGTERM)
    assert supervised.process.wait(60) == 0
    for thread in asking:
        thread.join(60)
    assert refused.is_set()
    assert set(seen) == {200}
    # A connection that the kernel had accepted for a listener that then closed is reset unread:
    # the client may send the same request again. None was cut after it had been read.
    assert [e for e in broken if not isinstance(e, httpx.ReadError | httpx.WriteError)] == []
    assert gone(workers)


def test_ctrl_c_ends_all_of_them(supervised: Supervised) -> None:
    workers = supervised.workers
    os.killpg(supervised.process.pid, signal.SIGINT)
    assert supervised.process.wait(30) == 0
    assert gone(workers)


def test_workers_do_not_outlive_their_supervisor(supervised: Supervised) -> None:
    workers = supervised.workers
    supervised.process.kill()
    supervised.process.wait(30)
    wait_until(lambda: gone(workers), "the end of the workers")
    with socket.create_server(("127.0.0.1", supervised.port)):
        pass
