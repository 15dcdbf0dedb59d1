"""The page's gunicorn command serves the whole contract but what only our own server adds."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from deployment.operations import use_all
from deployment.page import command, replaced
from support.api_server import Api, token
from support.polling import wait_until
from support.ports import listening_socket, port_of


@pytest.fixture
def gunicorn(
    variables: dict[str, str], tmp_path: Path
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The command as the page has it, on a socket of the test's."""
    log = tmp_path / "log"
    with listening_socket() as listener, log.open("wb") as output:
        base = f"http://127.0.0.1:{port_of(listener)}"
        line = replaced(command("gunicorn"), address=f"fd://{listener.fileno()}")
        process = subprocess.Popen(
            [sys.executable, "-m", *shlex.split(line)],
            env={**os.environ, **variables},
            stdout=output,
            stderr=output,
            pass_fds=[listener.fileno()],
            cwd=tmp_path,
        )

    def ready() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            return httpx.get(f"{base}/health/ready", timeout=30).status_code == 200
        except httpx.TransportError:
            return False

    try:
        wait_until(ready, "an answer of gunicorn")
        yield process, base
    finally:
        if process.poll() is None:
            process.terminate()  # its workers end with it; after a kill they would stay
        process.wait(30)


def test_the_operations_work_under_gunicorn(
    gunicorn: tuple[subprocess.Popen[bytes], str], alice: str
) -> None:
    process, base = gunicorn
    headers = {"Authorization": f"Bearer {token(alice)}"}
    with httpx.Client(base_url=base, headers=headers, timeout=30) as client:
        use_all(client)
        large = client.post("/api/tasks", content=b" " * 300_000)
        assert (large.status_code, large.json()["code"]) == (413, "body_too_large")
    assert httpx.get(f"{base}/api/tasks").json()["code"] == "token_missing"
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0


def test_only_our_own_server_limits_header_sections(
    gunicorn: tuple[subprocess.Popen[bytes], str], api: Api
) -> None:
    """What the page says is missing there, and the control: `taskcli serve` has it."""
    headers = {f"X-Header-{number}": "a" for number in range(150)}
    assert httpx.get(f"{gunicorn[1]}/health/live", headers=headers).status_code == 200
    refused = httpx.get(f"{api.base}/health/live", headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (431, "headers_too_large")
