"""An AsyncDatabase that is opened and not closed: its event loop ends, and the next one is told."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
from pathlib import Path

import pytest

from support.ports import closed_port
from taskcore import AsyncDatabase, DatabaseClosed, list_tasks

PROGRAM = Path(__file__).with_name("left_open.py")


def _start(url: str, owner: str, how: str, guarded: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(PROGRAM), url, owner, how, guarded]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True)


@pytest.mark.parametrize("how", ["idle", "connecting", "working"])
def test_the_event_loop_ends_and_the_next_one_gets_a_clear_error(
    how: str, url: str, alice: str
) -> None:
    with _start(url, alice, how, "guarded") as program:
        output, errors = program.communicate(timeout=60)
    assert program.returncode == 0, errors
    closed = f"DatabaseClosed: {DatabaseClosed.__doc__}"
    assert output.splitlines() == ["returned", "ended", closed, "0"]
    assert "never awaited" not in errors and "was destroyed" not in errors


@pytest.mark.parametrize("how", ["idle", "connecting", "working"])
def test_without_its_guard_it_is_still_open_on_the_loop_that_has_ended(
    how: str, url: str, alice: str
) -> None:
    """The control: nothing else closes it. Its loop ends, because the pool keeps no task alive."""
    with _start(url, alice, how, "unguarded") as program:
        output, errors = program.communicate(timeout=60)
    assert output.splitlines()[:2] == ["returned", "ended"]
    assert "another event loop" in output, errors


def test_a_database_that_is_away_does_not_keep_the_loop_either() -> None:
    async def leave_open(port: int) -> None:
        await AsyncDatabase(f"postgresql://user@127.0.0.1:{port}/none").open()
        gc.collect()  # nothing else refers to the database any more

    with closed_port() as port:
        asyncio.run(leave_open(port))


def test_another_event_loop_is_refused_while_the_first_one_lives(url: str, alice: str) -> None:
    database = AsyncDatabase(url)
    with asyncio.Runner() as first:
        first.run(database.open())
        for use in (database.open, database.close, lambda: database.run(list_tasks(alice))):
            with (
                asyncio.Runner() as second,
                pytest.raises(DatabaseClosed, match="another event loop"),
            ):
                second.run(use())
        # The control: on its own loop it works, and can be closed.
        assert first.run(database.run(list_tasks(alice))) == []
        first.run(database.close())
