"""`serve --workers`: one listening socket, workers that are replaced, and a clean end."""

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

pytestmark = pytest.mark.long


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
    """A supervisor whose two workers answer."""
    listener = listening_socket()
    port = port_of(listener)
    process = cli.start_on(
        # Without a line for each request: no test reads them, and a full pipe stops a worker.
        *(listener, "serve", "--workers", 2, "--log-level", "warning"),
        DATABASE_URL=url,
        BETTER_AUTH_SECRET=secret,
        TASKAPI_DRAIN_SECONDS="0.5",
    )
    supervised = Supervised(process, port)
    wait_until(lambda: len(supervised.workers) == 2 and supervised.answers(), "two workers")
    return supervised


def all_ended(workers: set[int]) -> bool:
    return not any(psutil.pid_exists(worker) for worker in workers)


def test_a_worker_that_dies_is_replaced(supervised: Supervised) -> None:
    before = supervised.workers
    for worker in before:
        os.kill(worker, signal.SIGKILL)
    wait_until(
        lambda: len(supervised.workers) == 2 and not supervised.workers & before, "new workers"
    )
    wait_until(supervised.answers, "an answer of the new workers")
    supervised.process.send_signal(signal.SIGTERM)
    assert supervised.process.wait(30) == 0


def test_sigterm_lets_every_request_finish(supervised: Supervised, alice: str) -> None:
    """Two clients send requests until connections are refused; every request is answered."""
    seen: list[int] = []
    errors: list[BaseException] = []
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
                errors.append(error)

    clients = [Thread(target=ask) for _ in range(2)]
    for thread in clients:
        thread.start()
    assert first.wait(60)
    workers = supervised.workers
    supervised.process.send_signal(signal.SIGTERM)
    assert supervised.process.wait(60) == 0
    for thread in clients:
        thread.join(60)
    assert refused.is_set()
    assert set(seen) == {200}
    # The kernel resets a connection that it accepted for a listener that then closed. Its request
    # was not read, so the client may send it again. No request was cut after it was read.
    assert [e for e in errors if not isinstance(e, httpx.ReadError | httpx.WriteError)] == []
    assert all_ended(workers)


def test_sighup_ends_the_supervisor_as_sigterm_does_and_is_logged(supervised: Supervised) -> None:
    workers = supervised.workers
    supervised.process.send_signal(signal.SIGHUP)
    _, log = supervised.process.communicate(timeout=60)
    assert supervised.process.returncode == 0
    assert "SIGHUP: stopping as at SIGTERM" in log
    assert all_ended(workers)


def test_ctrl_c_ends_the_supervisor_and_its_workers(supervised: Supervised) -> None:
    workers = supervised.workers
    os.killpg(supervised.process.pid, signal.SIGINT)
    assert supervised.process.wait(30) == 0
    assert all_ended(workers)


def test_workers_do_not_outlive_their_supervisor(supervised: Supervised) -> None:
    workers = supervised.workers
    supervised.process.kill()
    supervised.process.wait(30)
    wait_until(lambda: all_ended(workers), "the end of the workers")
    with socket.create_server(("127.0.0.1", supervised.port)):
        pass
