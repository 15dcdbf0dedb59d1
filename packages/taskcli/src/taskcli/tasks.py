"""`taskcli tasks`: list, export and import tasks of any user, with the login that owns them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from . import environment, output
from .failures import on_interrupt
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

    `taskcli tasks import` reads them. The same tasks always give the same bytes.
    """
    from taskcore import admin

    number = 0
    with admin.connected(environment.operator_url()) as session:
        if user is not None:
            admin.show_user(session, user)
        for number, task in enumerate(admin.export(session, user), 1):  # noqa: B007
            sys.stdout.buffer.write(task.model_dump_json().encode() + b"\n")
        sys.stdout.buffer.flush()
    output.note(f"{number} tasks were written")


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
    ):
        added = admin.add_missing(session, TASK_COLUMNS, _lines(source), make_users=True)
    output.note(
        f"{added.tasks} tasks were added" + f", and {added.users} users" * (added.users > 0)
    )
    if as_json:
        output.document(added._asdict())


def _lines(source: BinaryIO) -> Iterator[bytes]:
    """The lines of an export as lines for COPY."""
    from taskcore.admin import copy_line

    from .exported_task import read

    return map(copy_line, read(source))
