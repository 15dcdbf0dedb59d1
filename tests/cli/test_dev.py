"""The first five minutes: `dev` from nothing, stopped, killed, and started over."""

from __future__ import annotations

import json
import os
import shlex
import signal
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import httpx
import psycopg
import pytest

from support.command import Cli
from taskcore import embedded


class Dev(NamedTuple):
    """A running `dev`, and what its box says."""

    process: subprocess.Popen[str]
    box: dict[str, str]

    def stop(self, how: signal.Signals) -> int:
        if how is signal.SIGINT:  # a terminal sends it to the whole group
            os.killpg(self.process.pid, how)
        else:
            self.process.send_signal(how)
        return self.process.wait(60)


@pytest.fixture
def dev(cli: Cli) -> Iterator[Callable[..., Dev]]:
    def start(*arguments: object, **variables: str) -> Dev:
        process = cli.start("dev", *arguments, **variables)
        assert process.stdout is not None
        lines: list[str] = []
        while not lines or not lines[-1].startswith("database"):
            line = process.stdout.readline()
            if not line:
                pytest.fail(f"dev ended: {process.communicate()[1]}")
            lines.append(line)
        box = {}
        for line in lines[1:]:
            name, value = line.split(maxsplit=1)
            box[name] = value.rstrip("\n")
        return Dev(process, box)

    yield start
    cli.close()
    embedded.erase(cli.directory / ".taskdata")


def is_down(url: str) -> bool:
    with suppress(psycopg.OperationalError):
        psycopg.connect(url, connect_timeout=5).close()
        return False
    return True


def test_from_nothing_to_an_answer_and_again(cli: Cli, dev: Callable[..., Dev]) -> None:
    first = dev("--port", 0)
    port = httpx.URL(first.box["address"]).port
    assert first.box["address"] == f"http://127.0.0.1:{port}"
    done = subprocess.run(
        shlex.split(first.box["try"]), capture_output=True, text=True, check=True, timeout=60
    )
    tasks = json.loads(done.stdout)
    assert len(tasks) == 4
    assert {task["user_id"] for task in tasks} == {"demo"}
    assert httpx.get(first.box["docs"], timeout=60).status_code == 200
    foreign = httpx.get(first.box["docs"], headers={"Host": "evil.example"}, timeout=60)
    assert foreign.status_code == 421
    secret = cli.directory / ".taskdata" / "secret"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert (cli.directory / ".taskdata" / ".gitignore").read_text() == "*\n"

    # What a user did is there the next time, also after the hardest of ends.
    headers = {"Authorization": f"Bearer {first.box['token']}"}
    gone = f"{first.box['address']}/api/tasks/{tasks[0]['id']}"
    assert httpx.delete(gone, headers=headers, timeout=60).status_code == 204
    assert first.stop(signal.SIGKILL) == -signal.SIGKILL
    second = dev("--port", port)
    assert second.box["address"] == first.box["address"]
    answer = httpx.get(f"{second.box['address']}/api/tasks", headers=headers, timeout=60)
    assert answer.json() == tasks[1:]
    assert not is_down(second.box["database"])
    assert second.stop(signal.SIGINT) == 0
    assert is_down(second.box["database"])

    # Started over, nothing of it is left, and the token isn't either.
    third = dev("--port", port, "--fresh", "--quiet")
    again = httpx.get(f"{third.box['address']}/api/tasks", headers=headers, timeout=60)
    assert again.status_code == 401
    assert third.stop(signal.SIGTERM) == 0
    assert is_down(third.box["database"])


def test_the_secret_of_the_environment_is_used_and_the_database_is_not(
    cli: Cli, dev: Callable[..., Dev], url: str, secret: str
) -> None:
    (cli.directory / ".env").write_text(f"DATABASE_URL={url}\nBETTER_AUTH_SECRET='{secret}'\n")
    running = dev("--port", 0, "--data", "elsewhere")
    try:
        assert running.box["database"] != url
        assert not (cli.directory / "elsewhere" / "secret").exists()
        done = cli("token", "--inspect", running.box["token"], DATABASE_URL=url)
        assert done.out == "demo\n"
    finally:
        assert running.stop(signal.SIGINT) == 0
        embedded.erase(cli.directory / "elsewhere")
    assert running.process.stderr is not None
    assert "DATABASE_URL is left alone" in running.process.stderr.read()


def test_a_place_that_can_not_be_used_is_one_sentence(cli: Cli) -> None:
    Path(cli.directory, "file").write_text("")
    done = cli("dev", "--port", 0, "--data", "file")
    assert done.code == 1
    assert done.err.splitlines()[-1].startswith("taskcli: The embedded PostgreSQL cannot use")
