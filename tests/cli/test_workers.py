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

from fix_api import free_port, token
from fix_cli import Cli, until


class Herd:
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
def herd(cli: Cli, url: str, secret: str) -> Herd:
    """Two workers that answer."""
    port = free_port()
    process = cli.start(
        *("serve", "--workers", 2, "--port", port),
        DATABASE_URL=url,
        BETTER_AUTH_SECRET=secret,
        TASKAPI_DRAIN_SECONDS="0.5",
    )
    herd = Herd(process, port)
    until(lambda: len(herd.workers) == 2 and herd.answers(), "two workers")
    return herd


def gone(workers: set[int]) -> bool:
    return not any(psutil.pid_exists(worker) for worker in workers)


def test_a_worker_that_dies_is_replaced(herd: Herd) -> None:
    before = herd.workers
    for worker in before:
        os.kill(worker, signal.SIGKILL)
    until(lambda: len(herd.workers) == 2 and not herd.workers & before, "new workers")
    until(herd.answers, "an answer of theirs")
    herd.process.send_signal(signal.SIGTERM)
    assert herd.process.wait(30) == 0


def test_sigterm_drains_and_nothing_is_cut(herd: Herd, alice: str) -> None:
    """Requests without a break, up to where connections are refused: each is answered whole."""
    seen: list[int] = []
    broken: list[BaseException] = []
    refused, first = Event(), Event()

    def ask() -> None:
        headers = {"Authorization": f"Bearer {token(alice)}", "Connection": "close"}
        while not refused.is_set():
            try:
                seen.append(httpx.get(f"{herd.base}/api/tasks", headers=headers).status_code)
                first.set()
            except httpx.ConnectError:
                refused.set()
            except httpx.TransportError as error:
                broken.append(error)

    asking = [Thread(target=ask) for _ in range(2)]
    for thread in asking:
        thread.start()
    assert first.wait(60)
    workers = herd.workers
    herd.process.send_signal(signal.SIGTERM)
    assert herd.process.wait(60) == 0
    for thread in asking:
        thread.join(60)
    assert refused.is_set()
    assert set(seen) == {200}
    # A connection that the kernel had accepted for a listener that then closed is reset unread:
    # the client may send the same request again. None was cut after it had been read.
    assert [e for e in broken if not isinstance(e, httpx.ReadError | httpx.WriteError)] == []
    assert gone(workers)


def test_ctrl_c_ends_all_of_them(herd: Herd) -> None:
    workers = herd.workers
    os.killpg(herd.process.pid, signal.SIGINT)
    assert herd.process.wait(30) == 0
    assert gone(workers)


def test_workers_do_not_outlive_their_supervisor(herd: Herd) -> None:
    workers = herd.workers
    herd.process.kill()
    herd.process.wait(30)
    until(lambda: gone(workers), "the end of the workers")
    with socket.create_server(("127.0.0.1", herd.port)):
        pass
