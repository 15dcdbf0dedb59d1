"""`taskcli seed`: add made-up users and tasks by COPY."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer

from . import environment, output
from .failures import Failure, on_full_disk, on_interrupt
from .progress import progress
from .verbs import Json

if TYPE_CHECKING:
    from taskcore.admin.connection import Admin

    from .dataset import Dataset

_USERS_PER_STATEMENT = 10_000
_GO_ON = "run the same command to go on"
_MAKE_ROOM = "make room, and run the same command to go on"


def seed(
    users: Annotated[int, typer.Option(min=1, max=10_000_000, help="Number of users.")] = 10,
    tasks: Annotated[
        int, typer.Option(min=0, help="Number of tasks, of all users together.")
    ] = 1000,
    seed: Annotated[
        int, typer.Option(min=0, help="Which data: each number gives other users and tasks.")
    ] = 1,
    yes: Annotated[
        bool,
        typer.Option(
            "--yes", "-y", help="Add them even if the database has users or tasks of others."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Fill the database with made-up users and tasks.

    The same numbers always give the same data. Rows that exist are not added again, so run the
    same command once more to continue after a stop.
    """
    from taskcore import admin

    from .dataset import Dataset

    data = Dataset(seed, users, tasks)
    started = perf_counter()
    with admin.connected(environment.operator_url()) as session:
        _refuse_data_of_others(session, yes)
        users_added = _add_users(session, data)
        tasks_added = _add_tasks(session, data)
    seconds = perf_counter() - started
    rate = round(tasks_added / seconds)
    output.note(
        f"{users_added} users and {tasks_added} tasks were added in {seconds:.1f} s "
        f"({rate} a second)"
    )
    if as_json:
        output.document(
            {
                "users_added": users_added,
                "tasks_added": tasks_added,
                "tasks": tasks,
                "seconds": round(seconds, 3),
                "tasks_per_second": rate,
            }
        )


def _refuse_data_of_others(session: Admin, yes: bool) -> None:
    from taskcore import admin

    from .dataset import PREFIX

    if yes:
        return
    users, tasks = admin.count_others(session, PREFIX)
    if users or tasks:
        raise Failure(
            f"the database holds {users} users and {tasks} tasks of others; nothing was changed; "
            "--yes adds the made-up data all the same"
        )


def _add_users(session: Admin, data: Dataset) -> int:
    from taskcore import admin

    if admin.users_table(session).name is None:
        return 0
    rows, added = data.user_rows(), 0
    state = "some users are in, and no task yet"
    with on_interrupt(f"{state}; {_GO_ON}"), on_full_disk(f"{state}; {_MAKE_ROOM}"):
        while some := list(islice(rows, _USERS_PER_STATEMENT)):
            added += admin.add_users(session, some)
    return added


def _add_tasks(session: Admin, data: Dataset) -> int:
    from taskcore import admin

    from .dataset import COLUMNS

    added = done = 0
    with progress(data.tasks) as advance:
        for batch in data.batches():
            state = f"{done} of {data.tasks} tasks are in, and no part of the next batch"
            with on_interrupt(f"{state}; {_GO_ON}"), on_full_disk(f"{state}; {_MAKE_ROOM}"):
                first, last = data.task_id(batch[0]), data.task_id(batch[-1])
                existing = admin.count_between(session, first, last)
                if existing == len(batch):
                    advance(len(batch))
                elif existing == 0:
                    added += admin.copy_in(session, COLUMNS, _blocks(data, batch, advance))
                else:
                    blocks = _blocks(data, batch, advance)
                    added += admin.add_missing(session, COLUMNS, blocks).tasks
            done += len(batch)
    return added


def _blocks(data: Dataset, batch: range, advance: Callable[[int], None]) -> Iterator[bytes]:
    for block in data.blocks(batch):
        yield block
        advance(block.count(b"\n"))
