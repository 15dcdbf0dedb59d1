"""`serve --reload` serves the saved code, also if it is saved while a worker starts."""

from __future__ import annotations

import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest

import taskapi
import taskcore
from support.command import Cli
from support.polling import wait_until
from support.ports import listening_socket, port_of

pytestmark = pytest.mark.long


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of the server's code, which a test may change."""
    for package in (taskapi, taskcore):
        source = Path(str(package.__file__)).parent
        shutil.copytree(source, tmp_path / "code" / source.name)
    return tmp_path / "code"


class Reloading:
    """A server with `--reload`, and the file of its code that holds its status."""

    def __init__(self, process: subprocess.Popen[str], base: str, file: Path) -> None:
        self.process = process
        self.base = base
        self.file = file
        self._source = file.read_text()

    def save(self, status: str, after: str = "") -> None:
        source = self._source.replace('"status": "ok"', f'"status": "{status}"')
        self.file.write_text(source + after)

    def serves(self, status: str) -> bool:
        with suppress(httpx.TransportError):
            answer = httpx.get(f"{self.base}/health/live", timeout=5)
            return bool(answer.json()["status"] == status)
        return False

    @property
    def workers(self) -> list[psutil.Process]:
        children = psutil.Process(self.process.pid).children()
        return [child for child in children if child.status() != psutil.STATUS_ZOMBIE]

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(30) == 0


@pytest.fixture
def reloading(cli: Cli, url: str, secret: str, copied: Path) -> Reloading:
    listener = listening_socket()
    base = f"http://127.0.0.1:{port_of(listener)}"
    process = cli.start_on(
        *(listener, "serve", "--reload"),
        DATABASE_URL=url,
        BETTER_AUTH_SECRET=secret,
        PYTHONPATH=str(copied),
    )
    server = Reloading(process, base, copied / "taskapi" / "health.py")
    wait_until(lambda: server.serves("ok"), "the first answer")
    return server


def test_saved_code_is_served(reloading: Reloading) -> None:
    reloading.save("changed")
    wait_until(lambda: reloading.serves("changed"), "the changed answer")
    reloading.stop()


def test_code_that_cannot_start_is_started_after_the_next_change(reloading: Reloading) -> None:
    reloading.file.write_text("this is no Python\n")
    wait_until(lambda: not reloading.workers, "the end of a worker")
    reloading.save("changed")
    wait_until(lambda: reloading.serves("changed"), "the changed answer")
    reloading.stop()


def test_a_change_during_the_start_of_a_worker_is_served(
    reloading: Reloading, tmp_path: Path
) -> None:
    starting = tmp_path / "starting"
    slow = f"\nimport pathlib, time\npathlib.Path({str(starting)!r}).touch()\ntime.sleep(600)\n"
    reloading.save("never", after=slow)
    wait_until(starting.exists, "a worker that starts")
    reloading.save("changed")
    wait_until(lambda: reloading.serves("changed"), "the changed answer")
    reloading.stop()


def test_serve_ends_if_its_workers_never_start(
    cli: Cli, url: str, secret: str, copied: Path
) -> None:
    with (copied / "taskapi" / "app.py").open("a") as file:
        file.write("\ndef create_app(*_): raise SystemExit(1)\n")
    done = cli(
        *("serve", "--workers", 2, "--port", 0),
        DATABASE_URL=url,
        BETTER_AUTH_SECRET=secret,
        PYTHONPATH=str(copied),
    )
    assert done.code == 1
    assert "the workers do not start" in done.err
