"""A Database that is used after a fork: each process has connections of its own, and none waits.

The programs are in `forks/`: a test process that forked itself would take its fixtures with it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.figures import FULL, Figure
from support.polling import wait_until
from support.ports import listening_socket, port_of
from taskcore import Database, TaskCreate, create_task

FORKS = Path(__file__).with_name("forks")
REPEATS = 10 if FULL else 1
# Seconds: far below the deadline of the programs' operations, far above what one takes.
QUICK = 30


@pytest.fixture
def owners(url: str, make_user: Callable[[], str]) -> list[str]:
    """Four users with a task each, which has the user's id as its title."""
    made = [make_user() for _ in range(4)]
    with Database(url) as database:
        for owner in made:
            database.run(create_task(owner, TaskCreate(title=owner)))
    return made


def finds_programs() -> dict[str, str]:
    """The environment by which a process of its own finds the modules in `forks/`."""
    path = os.pathsep.join([str(FORKS.parents[1]), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path}


def reports(scenario: str, url: str, owners: list[str]) -> list[dict[str, Any]]:
    """What the processes of a scenario say, one after the other."""
    command = [sys.executable, str(FORKS / "fork_program.py"), scenario, url, *owners]
    ended = subprocess.run(
        command, capture_output=True, text=True, timeout=120, env=finds_programs()
    )
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr, ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines()]


@pytest.mark.parametrize("scenario", ["plain", "threads", "full", "multiprocessing_fork"])
def test_parent_and_children_see_their_own_rows_at_once(
    scenario: str, url: str, owners: list[str], figure: Figure
) -> None:
    slowest = 0.0
    for _ in range(REPEATS):
        seen = reports(scenario, url, owners)
        assert len(seen) > 2 and [report["who"] for report in seen].count("parent") == 1
        for report in seen:
            assert report["errors"] == [] and report["foreign"] == 0
            assert report["done"] > 0, "the control: there was a row to see"
            slowest = max(slowest, report["slowest"])
            assert not report.get("shared"), "a child has connections of its own"
            assert report.get("undisturbed", True), "the parent keeps the connections it had"
    assert slowest < QUICK
    figure(f"forks ({scenario}): 0 foreign rows, 0 errors; slowest operation {slowest:.2f} s")


def test_without_the_mend_a_process_gets_the_others_rows(url: str, owners: list[str]) -> None:
    """The control: parent and child share a socket, and the other checks are off."""
    (seen,) = reports("unmended", url, owners)
    assert seen["foreign"] > 0


def test_children_of_a_fork_server_that_has_opened_the_database(
    url: str, owners: list[str]
) -> None:
    seen = reports("multiprocessing_forkserver", url, owners)
    assert len(seen) == len(owners) - 1
    for report in seen:
        assert report["errors"] == [] and report["foreign"] == 0 and report["done"] > 0
        assert report["slowest"] < QUICK


def test_a_child_that_ends_says_no_good_bye_for_its_parent(url: str, owners: list[str]) -> None:
    assert reports("unused", url, owners) == [{"who": "parent", "undisturbed": True}]
    # The control: libpq's own good-bye ends the parent's sessions.
    assert reports("unused_unmended", url, owners)[-1] == {"who": "parent", "undisturbed": False}


def test_an_async_database_that_was_opened_before_the_fork_is_refused_at_once(
    url: str, owners: list[str]
) -> None:
    child, parent = reports("awaiting", url, owners)
    refused, refused_to_open, opened_here = child["answers"]
    for answer in (refused, refused_to_open):
        assert answer.startswith("DatabaseClosed: ") and "forked" in answer
    # The control: one that was only made before the fork works, and the parent's goes on.
    assert opened_here == "1 tasks"
    assert parent["answers"] == ["1 tasks"]
    # The child lets go of both descriptors, the socket's and its duplicate; the parent of neither.
    assert child["null"] == [True, True] and parent["null"] == [False, False]
    assert parent["made"] == 1, "the parent's connection was not disturbed"


# --- a prefork server -----------------------------------------------------------------------------


@contextmanager
def gunicorn(url: str, owner: str, log: Path) -> Iterator[str]:
    """A server of four processes that imports its application before it forks them."""
    listener = listening_socket()
    environment = {**finds_programs(), "FORKS_URL": url, "FORKS_OWNER": owner}
    command = [
        sys.executable, "-m", "gunicorn", "--preload", "--workers", "4", "--worker-tmp-dir",
        str(log.parent), "--no-control-socket", "--bind", f"fd://{listener.fileno()}",
        "faults.forks.preloaded:app",
    ]  # fmt: skip
    with listener, log.open("wb") as output:
        base = f"http://127.0.0.1:{port_of(listener)}"
        process = subprocess.Popen(
            command, env=environment, stdout=output, stderr=output, pass_fds=[listener.fileno()]
        )
    try:
        wait_until(lambda: _answers(process, f"{base}/{owner}", log), "an answer of gunicorn")
        yield base
    finally:
        process.terminate()
        process.wait(60)


def _answers(process: subprocess.Popen[bytes], address: str, log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    try:
        return httpx.get(address, timeout=30).status_code == 200
    except httpx.TransportError:
        return False


def test_a_prefork_server_that_preloads_its_application(
    url: str, owners: list[str], tmp_path: Path, figure: Figure
) -> None:
    log = tmp_path / "gunicorn.log"
    with gunicorn(url, owners[0], log) as base, ThreadPoolExecutor(8) as threads:

        def ask(turn: int) -> dict[str, Any]:
            owner = owners[turn % len(owners)]
            answer: dict[str, Any] = httpx.get(f"{base}/{owner}", timeout=QUICK).json()
            assert answer["titles"] == [owner], "the owner's own row, and no other"
            return answer

        answers = list(threads.map(ask, range(80)))
    assert all(answer["inherited"] for answer in answers), "the application was preloaded"
    processes = {answer["process"] for answer in answers}
    assert len(processes) > 1
    assert "Traceback" not in log.read_text()
    figure(f"gunicorn --preload: {len(answers)} requests on {len(processes)} processes, all right")
