"""`taskcli tasks`: list, export and import tasks of any user, with the login that owns them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Annotated, BinaryIO
from uuid import UUID

import typer

from . import environment, output
from .failures import Interrupted, on_interrupt
from .progress import progress
from .verbs import Json

_COLUMNS = ("id", "title", "completed", "created_at", "updated_at")


def list_(
    user: Annotated[str, typer.Option(metavar="ID", help="User id.", show_default=False)],
    limit: Annotated[int, typer.Option(min=1, help="List at most this many tasks.")] = 100,
    as_json: Json = False,
) -> None:
    """List a user's tasks, newest first."""
    from taskcore import admin

    with admin.connected(environment.operator_url()) as session:
        admin.show_user(session, user)
        found = admin.tasks_of(session, user, limit=limit)
    output.rows([task.model_dump() for task in found], as_json=as_json, columns=_COLUMNS)
    if len(found) == limit:
        output.note(f"there may be more: --limit {2 * limit}")


def export(
    user: Annotated[
        str | None,
        typer.Option(
            metavar="ID", help="Export only the tasks of this user id.", show_default=False
        ),
    ] = None,
) -> None:
    """Write tasks to standard output, one JSON object per line.

    `taskcli tasks import` reads them. The same tasks always give the same bytes. If it is stopped,
    the last line says so, and no import takes it.
    """
    from taskcore import admin

    from .exported_task import UNFINISHED

    number, out = 0, sys.stdout.buffer
    with admin.connected(environment.operator_url()) as session:
        total = admin.show_user(session, user).tasks if user is not None else None
        if total is None and output.shows_progress():
            total = admin.count_between(session, UUID(int=0), UUID(int=2**128 - 1))
        with _marked_if_unfinished(out, UNFINISHED), _progress_beside_data(total) as advance:
            for number, task in enumerate(admin.export(session, user), 1):  # noqa: B007
                out.write(task.model_dump_json().encode() + b"\n")
                advance(1)
            out.flush()
    output.note(f"{number} tasks were written")


@contextmanager
def _marked_if_unfinished(out: BinaryIO, mark: bytes) -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except BaseException as error:
        with suppress(OSError):
            out.write(b"\n" + mark + b"\n")
            out.flush()
        if isinstance(error, KeyboardInterrupt):
            raise Interrupted(
                "stopped: what was written is not complete, and its last line says so"
            ) from error
        raise


def _progress_beside_data(total: int | None) -> AbstractContextManager[Callable[[int], None]]:
    return nullcontext(lambda _: None) if sys.stdout.isatty() else progress(total)


def import_(
    file: Annotated[
        Path | None,
        typer.Argument(
            help="A file that `taskcli tasks export` wrote; without it, standard input is read.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Add the tasks of an export; if one line is wrong, nothing is imported.

    Tasks whose ids exist already are not changed. Users that don't exist are added if
    `taskcli migrate` made the users table.
    """
    from taskcore import admin
    from taskcore.tasks.fields import TASK_COLUMNS

    with (
        on_interrupt("nothing was imported"),
        open(file, "rb") if file else sys.stdin.buffer as source,
        admin.connected(environment.operator_url()) as session,
        progress(_number_of_lines(file)) as advance,
    ):
        lines = _lines(source, advance)
        added = admin.add_missing(session, TASK_COLUMNS, lines, make_users=True)
    output.note(
        f"{added.tasks} tasks were added" + f", and {added.users} users" * (added.users > 0)
    )
    if as_json:
        output.document(added._asdict())


def _lines(source: BinaryIO, advance: Callable[[int], None] = lambda _: None) -> Iterator[bytes]:
    """The lines of an export as lines for COPY."""
    from taskcore.admin import copy_line

    from .exported_task import read

    for task in read(source):
        yield copy_line(task)
        advance(1)


def _number_of_lines(file: Path | None) -> int | None:
    """For the progress; None if they can't be counted before they are read."""
    if file is None or not output.shows_progress() or not file.is_file():
        return None
    with open(file, "rb") as source:
        return sum(block.count(b"\n") for block in iter(partial(source.read, 1 << 20), b""))
