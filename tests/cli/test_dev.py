"""`dev` in an empty directory: started, killed, stopped, and started with `--fresh`."""

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

pytestmark = pytest.mark.long


class Dev(NamedTuple):
    """A running `dev`, and the values that it prints at its start, by their names."""

    process: subprocess.Popen[str]
    printed: dict[str, str]

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
        printed = {}
        for line in lines[1:]:
            name, value = line.split(maxsplit=1)
            printed[name] = value.rstrip("\n")
        return Dev(process, printed)

    yield start
    cli.close()
    embedded.erase(cli.directory / ".taskdata")


def is_down(url: str) -> bool:
    with suppress(psycopg.OperationalError):
        psycopg.connect(url, connect_timeout=5).close()
        return False
    return True


def test_data_is_kept_until_a_start_with_fresh(cli: Cli, dev: Callable[..., Dev]) -> None:
    first = dev("--port", 0)
    port = httpx.URL(first.printed["address"]).port
    assert first.printed["address"] == f"http://127.0.0.1:{port}"
    done = subprocess.run(
        shlex.split(first.printed["try"]), capture_output=True, text=True, check=True, timeout=60
    )
    tasks = json.loads(done.stdout)
    assert len(tasks) == 4
    assert {task["user_id"] for task in tasks} == {"demo"}
    assert httpx.get(first.printed["docs"], timeout=60).status_code == 200
    foreign = httpx.get(first.printed["docs"], headers={"Host": "evil.example"}, timeout=60)
    assert foreign.status_code == 421
    secret = cli.directory / ".taskdata" / "secret"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert (cli.directory / ".taskdata" / ".gitignore").read_text() == "*\n"

    # A user's changes are kept by the next start, also after SIGKILL.
    headers = {"Authorization": f"Bearer {first.printed['token']}"}
    deleted = f"{first.printed['address']}/api/tasks/{tasks[0]['id']}"
    assert httpx.delete(deleted, headers=headers, timeout=60).status_code == 204
    assert first.stop(signal.SIGKILL) == -signal.SIGKILL
    second = dev("--port", port)
    assert second.printed["address"] == first.printed["address"]
    answer = httpx.get(f"{second.printed['address']}/api/tasks", headers=headers, timeout=60)
    assert answer.json() == tasks[1:]
    assert not is_down(second.printed["database"])
    assert second.stop(signal.SIGINT) == 0
    assert is_down(second.printed["database"])

    # `--fresh` erases the data and the secret, so the earlier token is refused.
    third = dev("--port", port, "--fresh", "--quiet")
    again = httpx.get(f"{third.printed['address']}/api/tasks", headers=headers, timeout=60)
    assert again.status_code == 401
    assert third.stop(signal.SIGTERM) == 0
    assert is_down(third.printed["database"])


def test_the_secret_of_the_environment_is_used_and_the_database_is_not(
    cli: Cli, dev: Callable[..., Dev], url: str, secret: str
) -> None:
    (cli.directory / ".env").write_text(f"DATABASE_URL={url}\nBETTER_AUTH_SECRET='{secret}'\n")
    running = dev("--port", 0, "--data", "elsewhere")
    try:
        assert running.printed["database"] != url
        assert not (cli.directory / "elsewhere" / "secret").exists()
        done = cli("token", "--inspect", running.printed["token"], DATABASE_URL=url)
        # The signature is right, and only dev's own database has the user.
        assert "user_unknown" in done.err
        there = running.printed["database"]
        done = cli("token", "--inspect", running.printed["token"], DATABASE_URL=there)
        assert done.out == "demo\n"
    finally:
        assert running.stop(signal.SIGINT) == 0
        embedded.erase(cli.directory / "elsewhere")
    assert running.process.stderr is not None
    assert "DATABASE_URL is left alone" in running.process.stderr.read()


def test_a_data_directory_that_cannot_be_used_gets_one_sentence(cli: Cli) -> None:
    Path(cli.directory, "file").write_text("")
    done = cli("dev", "--port", 0, "--data", "file")
    assert done.code == 1
    assert done.err.splitlines()[-1].startswith("taskcli: The embedded PostgreSQL cannot use")
