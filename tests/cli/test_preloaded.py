"""A command that is forked from a preloaded process does what a started one, the control, does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import httpx
import psutil
import pytest

from support.api_server import SECRET
from support.command import COMMAND, Cli
from support.polling import wait_until
from support.ports import listening_socket, port_of
from support.preloaded import WANTED, Process, can_fork, preloaded, run

pytestmark = [
    pytest.mark.skipif(not WANTED, reason="everything is started for real"),
    pytest.mark.long,
]

COMMANDS = {
    "version": ["--version"],
    "help": ["--help"],
    "a verb's help": ["serve", "--help"],
    "config": ["config", "--json"],
    "status": ["status", "--json"],
    "token": ["token", "--help"],
    "openapi": ["openapi"],
    "wrong use": ["serve", "--workers", "none"],
    "no such verb": ["nothing"],
    "a failure": ["status", "--database-url", "postgresql://127.0.0.1:1/none"],
    "standard input": ["tasks", "import", "--dry-run"],
    "migrate": ["migrate", "--sql"],
}


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


def is_fork(process: subprocess.Popen[str]) -> bool:
    """Whether the process still has the command line of the helper that it was forked from."""
    return any("preloaded_helper" in part for part in psutil.Process(process.pid).cmdline())


def sockets_of(pid: int) -> set[str]:
    """The sockets that a process has open."""
    found = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            found.add(str(descriptor.readlink()))
    return {name for name in found if name.startswith("socket:")}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_forked_command_does_what_a_started_one_does(name: str, cli: Cli, own_url: str) -> None:
    (cli.directory / ".env").write_text("PORT=8123\n")
    outcomes = []
    for cli.forks in (True, False):
        done = cli(*COMMANDS[name], stdin="{}\n", DATABASE_URL=own_url, BETTER_AUTH_SECRET=SECRET)
        outcomes.append(Outcome(done.code, done.out, done.err))
    forked, started = outcomes
    assert forked == started
    assert forked.out or forked.err


@pytest.mark.parametrize("forks", [True, False])
def test_a_server_has_its_socket_its_process_group_and_its_signals(
    forks: bool, cli: Cli, url: str
) -> None:
    cli.forks = forks
    listener = listening_socket()
    base = f"http://127.0.0.1:{port_of(listener)}"
    process = cli.start_on(listener, "serve", DATABASE_URL=url, BETTER_AUTH_SECRET=SECRET)
    wait_until(lambda: httpx.get(f"{base}/health/live", timeout=60).status_code == 200)
    assert is_fork(process) == forks
    assert psutil.Process(process.pid).ppid() == os.getpid()
    assert os.getpgid(process.pid) == process.pid
    assert Path(f"/proc/{process.pid}/cwd").readlink() == cli.directory
    others = {os.getpid(), *(each.pid for each in psutil.Process().children())} - {process.pid}
    assert sockets_of(process.pid)
    assert not sockets_of(process.pid) & {each for other in others for each in sockets_of(other)}
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "serving on" in err


def test_a_killed_process_has_ended_by_its_signal(cli: Cli, url: str) -> None:
    process = cli.start("serve", "--port", "0", DATABASE_URL=url, BETTER_AUTH_SECRET=SECRET)
    assert is_fork(process)
    process.kill()
    assert process.wait(60) == -signal.SIGKILL


def test_variables_that_an_import_may_read_are_started(tmp_path: Path) -> None:
    late = {**os.environ, "DATABASE_URL": "postgresql://127.0.0.1:1/none", "PGUSER": "me"}
    assert can_fork(COMMAND, late)
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM", "PYTHONPATH", "OTEL_SERVICE_NAME", "LC_ALL"):
        assert not can_fork(COMMAND, {**late, name: "another"}), name
    assert not can_fork([sys.executable, "-c", "pass"], late)
    assert not can_fork(["psql"], late)


def test_a_path_that_was_preloaded_is_forked_with_its_own_modules(tmp_path: Path) -> None:
    (tmp_path / "of_this_path.py").write_text("import sys\nprint(*sys.argv[1:])\nsys.exit(3)\n")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-m", "of_this_path", "a", "b"]
    with preloaded(str(tmp_path)):
        assert can_fork(command, environment)
        done = run(command, env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (3, "a b\n", "")
    assert not can_fork(command, environment)


@pytest.mark.parametrize("forks", [True, False])
def test_the_working_directory_is_on_the_path_unless_it_is_left_out(
    forks: bool, tmp_path: Path
) -> None:
    (tmp_path / "of_this_directory.py").write_text("import sys\nprint(sys.path[0])\n")
    found = [
        run([sys.executable, *safe, "-m", "of_this_directory"], cwd=tmp_path, forks=forks)
        for safe in ([], ["-P"])
    ]
    assert [done.returncode for done in found] == [0, 1]
    assert found[0].stdout == f"{tmp_path}\n"
    assert "No module named of_this_directory" in found[1].stderr


def test_what_a_failing_module_prints_is_printed(tmp_path: Path) -> None:
    """An exception ends a forked process as it ends a started one."""
    command = [sys.executable, "-m", "taskcore.nothing_here"]
    for forks in (True, False):
        pipe = subprocess.PIPE
        with Process(command, forks=forks, stdout=pipe, stderr=pipe, text=True) as process:
            out, err = process.communicate(timeout=60)
        assert process.returncode == 1
        assert out == ""
        assert "No module named taskcore.nothing_here" in err
