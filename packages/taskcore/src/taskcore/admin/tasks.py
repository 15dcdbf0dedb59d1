"""Tasks in and out by COPY, of all users."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from psycopg import sql
from sqlalchemy.dialects import postgresql

from taskcore.errors import UnknownUser
from taskcore.models import Task
from taskcore.tasks.fields import TASK_COLUMNS, TaskRead, read_task

from .connection import ONE_AFTER_THE_OTHER, Admin
from .users import UsersTable, add_users, users_table

_COLUMNS = sql.SQL(", ").join(map(sql.Identifier, TASK_COLUMNS))
_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]
# The names of the columns' types, without lengths: COPY's binary format is read with them.
_TYPES = [
    Task.__table__.c[name].type.compile(dialect=_DIALECT).partition("(")[0].lower()
    for name in TASK_COLUMNS
]
_ESCAPED = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"})
_STAGE = sql.SQL("pg_temp.taskcore_staged")
_OWNERS_AT_ONCE = 10_000


def copy_in(admin: Admin, columns: Sequence[str], blocks: Iterable[bytes]) -> int:
    """Insert tasks from COPY's text format with these columns: all of them, or none on an error."""
    return _copy(admin, sql.SQL("public.tasks"), columns, blocks)


class Added(NamedTuple):
    """What an import has added."""

    tasks: int
    users: int


def add_missing(
    admin: Admin, columns: Sequence[str], blocks: Iterable[bytes], *, make_users: bool = False
) -> Added:
    """Insert those of the tasks that do not exist, in one transaction.

    With `make_users`, users that do not exist are made where the users table is ours. Otherwise
    UnknownUser is raised.
    """
    with admin.transaction():
        admin.execute(ONE_AFTER_THE_OTHER)
        admin.execute("CREATE TEMP TABLE taskcore_staged (LIKE public.tasks) ON COMMIT DROP")
        _copy(admin, _STAGE, columns, blocks)
        users = _make_owners(admin, users_table(admin), make_users)
        insert = sql.SQL(
            "INSERT INTO public.tasks ({0}) SELECT {0} FROM {1} ON CONFLICT DO NOTHING "
            "RETURNING completed"  # what Citus reports as inserted includes the conflicts
        )
        added = admin.execute(insert.format(_names(columns), _STAGE))
        tasks = added.pgresult.ntuples if added.pgresult else 0
    return Added(tasks, users)


def _make_owners(admin: Admin, table: UsersTable, make_users: bool) -> int:
    if table.name is None:
        return 0
    unknown = _unknown_owners(admin, table)
    if not unknown:
        return 0
    if not (table.ours and make_users):
        raise UnknownUser(
            f"{len(unknown)} of the users do not exist in {table.name}, "
            f"{unknown[0]!r} first; nothing was changed"
        )
    return add_users(admin, ((user, None, None) for user in unknown))


def _unknown_owners(admin: Admin, table: UsersTable) -> list[str]:
    """Return the owners of the staged tasks that the users table does not have, in order.

    They are compared here: on a cluster the two tables are not on the same nodes.
    """
    query = sql.SQL("SELECT DISTINCT user_id FROM {} ORDER BY 1").format(_STAGE)
    owners = [owner for (owner,) in admin.execute(query)]
    known_of = sql.SQL("SELECT id FROM {} WHERE id = ANY (%s)").format(table.identifier)
    known: set[str] = set()
    for start in range(0, len(owners), _OWNERS_AT_ONCE):
        some = owners[start : start + _OWNERS_AT_ONCE]
        known.update(user for (user,) in admin.execute(known_of, [some]))
    return [owner for owner in owners if owner not in known]


def copy_line(task: TaskRead) -> bytes:
    """Return a task as a line of COPY's text format, with the columns TASK_COLUMNS."""
    fields = (_copy_text(getattr(task, name)) for name in TASK_COLUMNS)
    return ("\t".join(fields) + "\n").encode()


def _copy_text(value: object) -> str:
    if value is None:
        return "\\N"
    if isinstance(value, bool):
        return "t" if value else "f"
    text = value.isoformat() if isinstance(value, datetime) else str(value)
    return text.translate(_ESCAPED)


def count_between(admin: Admin, first: UUID, last: UUID) -> int:
    """Count the tasks whose id is between two, both included."""
    row = admin.execute(
        "SELECT count(*) FROM public.tasks WHERE id BETWEEN %s AND %s", [first, last]
    ).fetchone()
    return int(row[0]) if row else 0


def tasks_of(admin: Admin, user: str, *, limit: int) -> list[TaskRead]:
    """Return a user's tasks, newest first."""
    query = sql.SQL(
        "SELECT {} FROM public.tasks WHERE user_id = %s ORDER BY created_at DESC, id DESC LIMIT %s"
    ).format(_COLUMNS)
    with admin.transaction(), admin.cursor(binary=True) as cursor:
        return [read_task(row) for row in cursor.execute(query, [user, limit])]


def export(admin: Admin, user: str | None = None) -> Iterator[TaskRead]:
    """Yield every task, or every task of one user, ordered by user and id."""
    condition = sql.SQL("WHERE user_id = {}").format(user) if user is not None else sql.SQL("")
    query = sql.SQL(
        'COPY (SELECT {} FROM public.tasks {} ORDER BY user_id COLLATE "C", id) '
        "TO STDOUT (FORMAT binary)"
    ).format(_COLUMNS, condition)
    with admin.transaction(), admin.cursor() as cursor, cursor.copy(query) as copy:
        copy.set_types(_TYPES)
        for row in copy.rows():
            yield read_task(row)


def _copy(admin: Admin, table: sql.SQL, columns: Sequence[str], blocks: Iterable[bytes]) -> int:
    query = sql.SQL("COPY {} ({}) FROM STDIN").format(table, _names(columns))
    with admin.transaction(), admin.cursor() as cursor:
        with cursor.copy(query) as copy:
            for block in blocks:
                copy.write(block)
        return cursor.rowcount


def _names(columns: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, columns))
