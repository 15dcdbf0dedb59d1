"""`taskcli seed`: many realistic tasks, quickly."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer

from . import environment, output
from .failures import Failure, stopping_says
from .verbs import Json

if TYPE_CHECKING:
    from taskcore.admin.connection import Admin

    from .dataset import Dataset

_PEOPLE = 10_000


def seed(
    users: Annotated[int, typer.Option(min=1, max=10_000_000, help="How many users.")] = 10,
    tasks: Annotated[int, typer.Option(min=0, help="How many tasks, of all together.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Other numbers give other data.")] = 1,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Even if the database holds data of others.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Fill the database with made-up users and tasks.

    The same numbers always give the same data. What is there already is not put in again: run the
    same command once more to go on where one was stopped.
    """
    from taskcore import admin

    from .dataset import Dataset

    data = Dataset(seed, users, tasks)
    started = perf_counter()
    with admin.connected(environment.operator_url()) as session:
        _refuse_foreign(session, yes)
        people = _add_people(session, data)
        added = _add_tasks(session, data)
    seconds = perf_counter() - started
    rate = round(added / seconds)
    output.note(f"{people} users and {added} tasks were added in {seconds:.1f} s ({rate} a second)")
    if as_json:
        output.document(
            {
                "users_added": people,
                "tasks_added": added,
                "tasks": tasks,
                "seconds": round(seconds, 3),
                "tasks_per_second": rate,
            }
        )


def _refuse_foreign(session: Admin, yes: bool) -> None:
    from taskcore import admin

    from .dataset import PREFIX

    if yes:
        return
    users, tasks = admin.holds_others(session, PREFIX)
    if users or tasks:
        raise Failure(
            f"the database holds {users} users and {tasks} tasks of others; nothing was changed; "
            "--yes adds the made-up ones beside them"
        )


def _add_people(session: Admin, data: Dataset) -> int:
    from taskcore import admin

    if admin.users_table(session).name is None:
        return 0
    people, added = data.people(), 0
    with stopping_says("some users are in, and no task yet; run the same command to go on"):
        while some := list(islice(people, _PEOPLE)):
            added += admin.add_users(session, some)
    return added


def _add_tasks(session: Admin, data: Dataset) -> int:
    from taskcore import admin

    added = done = 0
    with _progress(data.tasks) as advance:
        for batch in data.batches():
            with stopping_says(
                f"{done} of {data.tasks} tasks are in, and no part of a batch; run the same "
                "command to go on"
            ):
                first, last = data.task_id(batch[0]), data.task_id(batch[-1])
                there = admin.count_between(session, first, last)
                if there == len(batch):
                    advance(len(batch))
                elif there == 0:
                    added += admin.copy_in(session, _counted(data, batch, advance))
                else:
                    blocks = _counted(data, batch, advance)
                    added += admin.add_missing(session, blocks).tasks
            done += len(batch)
    return added


def _counted(data: Dataset, batch: range, advance: Callable[[int], None]) -> Iterator[bytes]:
    for block in data.blocks(batch):
        yield block
        advance(block.count(b"\n"))


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """A bar with rate and remaining time, where somebody looks at it."""
    if output.quiet or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    with Progress(
        TextColumn("tasks"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]} a second"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    ) as bar:
        task = bar.add_task("tasks", total=total, rate="-")

        def advance(number: int) -> None:
            bar.update(task, advance=number, rate=round(bar.tasks[0].speed or 0))

        yield advance
