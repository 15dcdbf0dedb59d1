"""Exceptions that are thrown into `Database.run`: wherever one lands, no connection is lost."""

from __future__ import annotations

import dis
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from support.figures import FULL, Figure
from support.polling import wait_until
from taskcore import Database, TaskCreate, create_task, list_tasks
from taskcore.execution import pool as pools
from taskcore.execution import run as runs

PROGRAM = Path(__file__).with_name("interrupted.py")
INTERRUPTS = 10_000 if FULL else 300
# Also this file, for the control's function.
INTERRUPTED = (str(Path(runs.__file__).parent), __file__)


class Interrupted(Exception):
    pass


def test_a_pool_survives_interrupts_at_random_moments(url: str, alice: str, figure: Figure) -> None:
    command = [sys.executable, str(PROGRAM), url, alice, str(INTERRUPTS)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert ended.returncode == 0, ended.stderr
    seen = json.loads(ended.stdout)
    assert seen["interrupts"] == INTERRUPTS
    # The control: not every operation was interrupted, and others shared the pool.
    assert seen["done"] > 0 and seen["others"] > 0
    assert seen["failures"] == [] and seen["unavailable"] == 0
    assert seen["all_together"], "three operations hold a connection at one moment"
    assert seen["pool_size"] == 3
    figure(f"interrupts: {seen['interrupts']} (and {seen['done']} undisturbed), 0 slots lost")


# --- every moment, one after the other ------------------------------------------------------------

# CPython looks for signals when a function begins, at the end of a call and when a loop turns.
_LOOKS = {"RESUME", "JUMP_BACKWARD"}


class InterruptAt:
    """Throws one exception at a chosen one of the moments at which CPython could.

    It sees the frames of `taskcore/execution`: what runs below them is written in C, or is
    psycopg's and holds no connection that a frame of these does not hold.
    """

    def __init__(self, moment: int) -> None:
        self.left = moment
        self.thrown = False
        self._before: dict[FrameType, str] = {}

    def __enter__(self) -> InterruptAt:
        sys.settrace(self._enter)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)
        self._before.clear()

    def _enter(self, frame: FrameType, event: str, arg: object) -> Any:
        if self.thrown or not frame.f_code.co_filename.startswith(INTERRUPTED):
            return None
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        return self._step

    def _step(self, frame: FrameType, event: str, arg: object) -> Any:
        if event != "opcode" or self.thrown:
            return self._step
        before = self._before.get(frame, "")
        self._before[frame] = dis.opname[frame.f_code.co_code[frame.f_lasti]]
        if before in _LOOKS or before.startswith("CALL"):
            self.left -= 1
            if self.left < 0:
                self.thrown = True
                raise Interrupted
        return self._step


def lost_connections(database: Database, owner: str, *, connect: bool) -> tuple[int, int]:
    """How many moments an operation has, and after how many of them the pool's place was lost.

    With `connect`, each operation has to wait for a new connection.
    """
    moment = lost = 0
    while True:
        if connect:
            database.close()
            database.open()
        with InterruptAt(moment) as interrupt, suppress(Interrupted):
            database.run(list_tasks(owner))
        if not interrupt.thrown:
            return moment, lost
        moment += 1
        if not _has_its_place(database, wait=connect):
            lost += 1
            database.close()
            database.open()
        assert len(database.run(list_tasks(owner))) == 1


def _has_its_place(database: Database, *, wait: bool) -> bool:
    """Whether the only connection, or the right to make it, is there to be borrowed."""
    pool = database._open_pool()

    def there() -> bool:
        return pool._idle.qsize() + len(pool._room) == 1

    if wait:  # a thread may be connecting
        wait_until(there, "the connection or the right to make it")
    return there()


@pytest.fixture
def database(url: str, alice: str) -> Iterator[Database]:
    with Database(url, min_size=0, max_size=1, timeout=10) as database:
        database.run(create_task(alice, TaskCreate(title="one")))
        yield database


@pytest.fixture
def tracing() -> Iterator[None]:
    """Leave a debugger's or a coverage tool's trace function as it was."""
    before = sys.gettrace()
    yield
    sys.settrace(before)


@pytest.mark.usefixtures("tracing")
@pytest.mark.parametrize("connect", [False, True], ids=["connected", "connecting"])
def test_no_moment_of_an_operation_loses_the_connection(
    connect: bool, database: Database, alice: str, figure: Figure
) -> None:
    moments, lost = lost_connections(database, alice, connect=connect)
    assert moments > 100
    assert lost == 0
    figure(f"an exception at each of {moments} moments of an operation: {lost} slots lost")


def _lend_in_two_steps(queue: Any) -> tuple[list[Any], Callable[[], object]]:
    """A loan that is ended by a function of Python: it can be interrupted."""
    loan: list[Any] = []

    def give_back() -> None:
        if loan:
            connection = loan.pop()
            queue.put(connection)

    return loan, give_back


@pytest.mark.usefixtures("tracing")
def test_a_loan_that_ends_in_two_steps_is_lost(
    database: Database, alice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: the same sweep sees a connection that is lost."""
    monkeypatch.setattr(pools, "lend", _lend_in_two_steps)
    _, lost = lost_connections(database, alice, connect=False)
    assert lost > 0
