"""Operations and looks for the tests of the awaiting driver's connections."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop
from sqlalchemy import text

from taskcore import AsyncDatabase, Op
from taskcore.execution.loop_connection import LoopConnection
from taskcore.execution.op import Row, Statement, Steps, rows

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}

_BACKEND = Statement(text("SELECT pg_catalog.pg_backend_pid()"))
_SLEEP = Statement(text("SELECT pg_catalog.pg_sleep(CAST(:seconds AS float8))"))
_TEXT = Statement(
    text(
        "SELECT pg_catalog.repeat('x', CAST(:length AS int)) "
        "FROM pg_catalog.generate_series(1, CAST(:number AS int))"
    )
)


def backend(owner: str) -> Op[int]:
    """The server process that it runs on."""

    def steps(_: str) -> Steps[list[Row]]:
        return (yield from rows(_BACKEND))

    return Op(owner, steps, (), lambda found: int(found[0][0]))


def sleep(owner: str, seconds: float) -> Op[list[Row]]:
    def steps(_: str) -> Steps[list[Row]]:
        return (yield from rows(_SLEEP, seconds=str(seconds)))

    return Op(owner, steps, (), list)


def texts(owner: str, length: int, number: int = 1) -> Op[list[str]]:
    """So many rows with a text of this length."""

    def steps(_: str) -> Steps[list[Row]]:
        return (yield from rows(_TEXT, length=str(length), number=str(number)))

    return Op(owner, steps, (), lambda found: [str(row[0]) for row in found])


def connections_of(database: AsyncDatabase) -> list[LoopConnection]:
    return list(database._open_pool()._open)


def descriptors() -> set[int]:
    listed = [int(path.name) for path in Path("/proc/self/fd").iterdir()]
    # The listing itself had a descriptor, which is closed by now.
    return {number for number in listed if Path(f"/proc/self/fd/{number}").is_symlink()}


async def turns(number: int = 200) -> None:
    """So many turns of the event loop; each looks at the descriptors."""
    for _ in range(number):
        await asyncio.sleep(0)


def count_calls(
    monkeypatch: pytest.MonkeyPatch, owner: type[object], name: str
) -> Callable[[], int]:
    """Count the calls of a method, of objects that are made from now on."""
    calls = 0
    original = getattr(owner, name)

    def counted(*args: object) -> object:
        nonlocal calls
        calls += 1
        return original(*args)

    monkeypatch.setattr(owner, name, counted)
    return lambda: calls


def take_numbers(numbers: set[int]) -> list[int]:
    """Open pipes until their descriptors have these numbers too; return them all."""
    made: list[int] = []
    while not numbers <= set(made):
        made += os.pipe()
        assert len(made) < 200, "a number is still in use"
    return made
