"""`taskcli tasks`: anybody's tasks, seen, taken out and brought in. Outside the tenants' lock."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from . import environment, output
from .failures import Failure, stopping_says
from .verbs import Json

User = Annotated[str, typer.Option(metavar="ID", help="Whose.", show_default=False)]
_COLUMNS = ("id", "title", "completed", "created_at", "updated_at")


def list_(
    user: User,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 100,
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
        str | None, typer.Option(metavar="ID", help="Only this user's.", show_default=False)
    ] = None,
) -> None:
    """Write tasks to standard output, a line of JSON each.

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
        typer.Argument(help="What `export` wrote; else standard input.", show_default=False),
    ] = None,
    as_json: Json = False,
) -> None:
    """Read what `export` wrote: all of it, or nothing if there is a mistake in it.

    Tasks that are there already stay as they are. Users that don't exist are added, where the
    users table is our own.
    """
    from taskcore import admin

    with (
        stopping_says("nothing was imported"),
        open(file, "rb") if file else sys.stdin.buffer as source,
        admin.connected(environment.operator_url()) as session,
    ):
        added = admin.add_missing(session, _lines(source), make_users=True)
    output.note(
        f"{added.tasks} tasks were added" + f", and {added.users} users" * (added.users > 0)
    )
    if as_json:
        output.document(added._asdict())


def _lines(source: BinaryIO) -> Iterator[bytes]:
    from pydantic import AwareDatetime, ConfigDict, Field, ValidationError

    from taskcore import InvalidInput, TaskRead
    from taskcore.admin import line
    from taskcore.schemas import clean, valid_owner

    class Line(TaskRead):
        """What the table can hold, which is more than what may be put in by a user."""

        model_config = ConfigDict(extra="forbid")
        title: str = Field(max_length=500)
        created_at: AwareDatetime
        updated_at: AwareDatetime

    for number, text in enumerate(source, 1):
        try:
            task = Line.model_validate_json(text)
            valid_owner(task.user_id)
            clean(task.title + (task.description or ""))
        except ValidationError as error:
            fault = error.errors(include_input=False, include_url=False)[0]
            where = ".".join(map(str, fault["loc"])) or "it"
            raise Failure(
                f"line {number} is no task ({where}: {fault['msg']}); nothing was imported"
            ) from None
        except (InvalidInput, ValueError) as error:
            raise Failure(f"line {number}: {error}; nothing was imported") from None
        yield line(task)
