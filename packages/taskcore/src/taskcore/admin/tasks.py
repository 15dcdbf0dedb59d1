"""Tasks in and out by COPY, whoever they belong to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple
from uuid import UUID

from psycopg import sql

from taskcore.errors import UnknownUser
from taskcore.schemas import TaskRead, TaskRow, task_read

from .connection import Admin
from .users import UsersTable, add_users, users_table

_COLUMNS = sql.SQL("id, user_id, title, description, completed, created_at, updated_at")
_TYPES = ["uuid", "text", "text", "text", "bool", "timestamptz", "timestamptz"]
_ESCAPED = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"})
_STAGE = sql.SQL("pg_temp.taskcore_staged")


def copy_in(admin: Admin, blocks: Iterable[bytes]) -> int:
    """New tasks, as COPY's text format has them (id first); all of them, or none on an error."""
    return _copy(admin, sql.SQL("public.tasks"), blocks)


class Added(NamedTuple):
    """What an import has brought."""

    tasks: int
    users: int


def add_missing(admin: Admin, blocks: Iterable[bytes], *, make_users: bool = False) -> Added:
    """The same, without those that are there already, in one transaction.

    Users that don't exist are made with `make_users`, where their table is ours; elsewhere they
    are a reason to refuse.
    """
    with admin.transaction():
        admin.execute("CREATE TEMP TABLE taskcore_staged (LIKE public.tasks) ON COMMIT DROP")
        _copy(admin, _STAGE, blocks)
        users = _know_owners(admin, users_table(admin), make_users)
        query = "INSERT INTO public.tasks ({0}) SELECT {0} FROM {1} ON CONFLICT DO NOTHING"
        tasks = admin.execute(sql.SQL(query).format(_COLUMNS, _STAGE)).rowcount
    return Added(tasks, users)


def _know_owners(admin: Admin, table: UsersTable, make_users: bool) -> int:
    if table.name is None:
        return 0
    unknown = admin.execute(
        sql.SQL(
            "SELECT DISTINCT user_id FROM {} s "
            "WHERE NOT EXISTS (SELECT FROM {} u WHERE u.id = s.user_id) ORDER BY 1"
        ).format(_STAGE, table.identifier)
    ).fetchall()
    if not unknown:
        return 0
    if not (table.ours and make_users):
        raise UnknownUser(
            f"{len(unknown)} of the users do not exist in {table.name}, "
            f"{unknown[0][0]!r} first; nothing was changed"
        )
    return add_users(admin, ((user, None, None) for (user,) in unknown))


def line(task: TaskRead) -> bytes:
    """A task as COPY's text format has it."""
    description = "\\N" if task.description is None else task.description.translate(_ESCAPED)
    fields = (
        str(task.id),
        task.user_id.translate(_ESCAPED),
        task.title.translate(_ESCAPED),
        description,
        "t" if task.completed else "f",
        task.created_at.isoformat(),
        task.updated_at.isoformat(),
    )
    return ("\t".join(fields) + "\n").encode()


def count_between(admin: Admin, first: UUID, last: UUID) -> int:
    """How many tasks have an id between two, both included."""
    row = admin.execute(
        "SELECT count(*) FROM public.tasks WHERE id BETWEEN %s AND %s", [first, last]
    ).fetchone()
    return int(row[0]) if row else 0


def tasks_of(admin: Admin, user: str, *, limit: int) -> list[TaskRead]:
    """A user's tasks, newest first."""
    query = sql.SQL(
        "SELECT {} FROM public.tasks WHERE user_id = %s ORDER BY created_at DESC, id DESC LIMIT %s"
    ).format(_COLUMNS)
    with admin.cursor(binary=True) as cursor:
        return [_read(row) for row in cursor.execute(query, [user, limit])]


def export(admin: Admin, user: str | None = None) -> Iterator[TaskRead]:
    """Every task, or every task of a user, in an order that depends on nothing but the tasks."""
    whose = sql.SQL("WHERE user_id = {}").format(user) if user is not None else sql.SQL("")
    query = sql.SQL(
        'COPY (SELECT {} FROM public.tasks {} ORDER BY user_id COLLATE "C", id) '
        "TO STDOUT (FORMAT binary)"
    ).format(_COLUMNS, whose)
    with admin.cursor() as cursor, cursor.copy(query) as copy:
        copy.set_types(_TYPES)
        for row in copy.rows():
            yield _read(row)


def _copy(admin: Admin, table: sql.SQL, blocks: Iterable[bytes]) -> int:
    query = sql.SQL("COPY {} ({}) FROM STDIN").format(table, _COLUMNS)
    with admin.cursor() as cursor:
        with cursor.copy(query) as copy:
            for block in blocks:
                copy.write(block)
        return cursor.rowcount


def _read(row: tuple[object, ...]) -> TaskRead:
    typed: TaskRow = row  # type: ignore[assignment]
    return task_read(typed)
