"""`taskcli users`: list, show, export, add and delete users, as the login that owns them."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Annotated

import typer

from . import environment, output
from .failures import on_interrupt
from .verbs import DryRun, Json, Yes, confirm

User = Annotated[str, typer.Argument(metavar="ID", help="User id.", show_default=False)]
_ROW = ("id", "email", "name", "created_at")
_COLUMNS = ("id", "email", "name", "created_at", "tasks", "completed", "last_change")


def list_(
    limit: Annotated[int, typer.Option(min=1, help="List at most this many users.")] = 100,
    after: Annotated[
        str, typer.Option(metavar="ID", help="Start after this user id.", show_default=False)
    ] = "",
    as_json: Json = False,
) -> None:
    """List users with the number of their tasks."""
    from taskcore import admin

    with admin.connected(environment.operator_url()) as session:
        found = admin.list_users(session, limit=limit, after=after)
    output.rows([asdict(user) for user in found], as_json=as_json, columns=_COLUMNS)
    if len(found) == limit:
        output.note(f"there may be more: --after {found[-1].id}")


def show(user: User, as_json: Json = False) -> None:
    """Show one user."""
    from taskcore import admin

    with admin.connected(environment.operator_url()) as session:
        output.record(asdict(admin.show_user(session, user)), as_json=as_json)


def export(user: User) -> None:
    """Write all that is kept of one user as one JSON document.

    The user's row, where `taskcli migrate` made the users table, and all tasks. What another
    program keeps of the user, such as Better Auth, is there.
    """
    import json

    from psycopg import IsolationLevel

    from taskcore import admin

    number, out = 0, sys.stdout.buffer
    with (
        on_interrupt("what was written is not complete, and is no JSON document"),
        admin.connected(environment.operator_url()) as session,
    ):
        session.isolation_level = IsolationLevel.REPEATABLE_READ
        with session.transaction():
            table = admin.users_table(session)
            found = admin.show_user(session, user)
            kept = {name: getattr(found, name) for name in _ROW if table.ours or name == "id"}
            head = json.dumps({"users_table": table.name, "user": kept}, default=output.json_value)
            out.write(head[:-1].encode() + b', "tasks": [')
            for number, task in enumerate(admin.export(session, user), 1):
                out.write(b",\n" if number > 1 else b"\n")
                out.write(task.model_dump_json().encode())
            out.write(b"\n]}\n")
            out.flush()
    output.note(f"{user} was written, with {number} tasks")


def add(
    user: User,
    email: Annotated[str | None, typer.Option(help="The user's e-mail address.")] = None,
    name: Annotated[str | None, typer.Option(help="The user's name.")] = None,
    as_json: Json = False,
) -> None:
    """Add a user, if `taskcli migrate` made the users table.

    It is refused if the users table belongs to another program, such as Better Auth: users sign
    up there.
    """
    from taskcore import admin

    # One transaction: what cannot be reported is not added.
    with admin.connected(environment.operator_url()) as session, session.transaction():
        added = admin.add_user(session, user, email=email, name=name)
        found = admin.show_user(session, user)
    output.note(f"{user} was added" if added else f"{user} was there already; nothing was changed")
    if as_json:
        output.document(asdict(found))


def delete(user: User, yes: Yes = False, dry_run: DryRun = False) -> None:
    """Delete a user and all of the user's tasks, for good."""
    from taskcore import admin

    with admin.connected(environment.operator_url()) as session:
        found = admin.show_user(session, user)
        if dry_run:
            output.line(f"would delete {user} and {found.tasks} tasks")
            return
        confirm(f"Delete {user} and {found.tasks} tasks for good?", yes)
        with on_interrupt("what was under way was rolled back"):
            deleted = admin.delete_user(session, user)
    output.note(f"{user} was deleted, and {deleted} tasks")


def adopt(
    table: Annotated[
        str,
        typer.Argument(
            metavar="TABLE",
            help="`schema.table`, or `none` if users are in another database.",
            show_default=False,
        ),
    ],
) -> None:
    """Make the tasks refer to another users table.

    One transaction changes the foreign key and the function that tells the server whether a user
    exists.
    """
    from taskcore import migrations

    migrations.adopt_users(environment.operator_url(), table, report=output.note)
