"""The page's units are valid, and the service serves on a socket that systemd hands over."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from deployment.operations import use_all
from deployment.page import command, file, replaced
from support.api_server import token
from support.polling import wait_until
from support.ports import free_port, listens

UNITS = ("taskapi.socket", "taskapi.service")
TASKCLI = (sys.executable, "-m", "taskcli")


@pytest.fixture
def units(tmp_path: Path) -> list[Path]:
    """The page's units in a folder, with a program that is on this machine."""
    for name in UNITS:
        text = file(name)
        if name == "taskapi.service":
            text = replaced(text, taskcli=sys.executable)
        (tmp_path / name).write_text(text)
    return [tmp_path / name for name in UNITS]


def verify(units: list[Path]) -> str:
    """Return what systemd has to say against these units."""
    ended = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units],
        capture_output=True,
        text=True,
        timeout=60,
    )
    return "".join(line for line in ended.stderr.splitlines() if "taskapi." in line)


def test_the_units_are_valid(units: list[Path]) -> None:
    assert verify(units) == ""


def test_a_wrong_unit_is_seen(units: list[Path]) -> None:
    """The control."""
    for unit in units:
        unit.write_text(unit.read_text().replace("ListenStream", "ListensStream"))
    assert "ListensStream" in verify(units)


def exec_start() -> list[str]:
    (line,) = re.findall(r"^ExecStart=(.*)$", file("taskapi.service"), re.MULTILINE)
    program, *arguments = shlex.split(line)
    assert program == "/opt/taskapi/bin/taskcli"
    return [*TASKCLI, *arguments]


@contextmanager
def activated(
    variables: dict[str, str], log: Path
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The service behind systemd's socket, which starts it at the first connection."""
    port = free_port()
    # It passes no other variables on.
    passed = {**variables, "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    settings = [f"--setenv={name}={value}" for name, value in passed.items()]
    program = ["systemd-socket-activate", f"--listen=127.0.0.1:{port}", *settings, *exec_start()]
    with log.open("wb") as output:
        process = subprocess.Popen(program, stdout=output, stderr=output)
    try:
        wait_until(lambda: listens(process.pid, port), "systemd's socket")
        yield process, f"http://127.0.0.1:{port}"
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(30)


def test_the_service_serves_on_the_socket_that_it_is_handed(
    variables: dict[str, str], alice: str, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    variables["TASKAPI_DRAIN_SECONDS"] = "0"
    with activated(variables, log) as (process, base):
        # The first connection waits in the socket's queue until the service has started.
        headers = {"Authorization": f"Bearer {token(alice)}"}
        with httpx.Client(base_url=base, headers=headers, timeout=60) as client:
            assert client.get("/health/ready").status_code == 200
            use_all(client)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert f"serving on {base}" in log.read_text()


def test_a_descriptor_that_is_no_socket_is_refused(variables: dict[str, str]) -> None:
    """The control: started by hand, without systemd, the service says what is missing."""
    ended = subprocess.run(
        exec_start(),
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 2
    assert "--fd 3 is no socket to listen on" in ended.stderr


def test_the_page_migrates_before_it_restarts() -> None:
    assert command("/opt/taskapi/bin/taskcli") == "/opt/taskapi/bin/taskcli migrate"
    assert command("systemctl") == "systemctl restart taskapi.service"
