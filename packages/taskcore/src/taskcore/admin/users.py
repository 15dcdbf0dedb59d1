"""The users, in whichever table they live: Better Auth's, ours, or none at all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from psycopg import sql

from taskcore.errors import TaskcoreError, UnknownUser
from taskcore.migrations.users_table import OURS
from taskcore.schemas import valid_owner

from .connection import Admin


class UsersNotOurs(TaskcoreError):
    """The users belong to another program: let it add them (Better Auth: its sign-up)."""


@dataclass(frozen=True)
class UsersTable:
    """The table that the tasks refer to; no name where users are kept in another database."""

    name: str | None
    ours: bool
    columns: frozenset[str]
    others: tuple[str, ...]
    """Tables beside it that hold users by the look of them."""

    @property
    def identifier(self) -> sql.SQL:
        return sql.SQL(self.name or "")  # quoted by the database


@dataclass(frozen=True)
class UserRow:
    """A user as an operator sees one."""

    id: str
    email: str | None
    name: str | None
    created_at: datetime | None
    tasks: int
    completed: int
    last_change: datetime | None


def users_table(admin: Admin) -> UsersTable:
    """Which table is adopted, by the foreign key; and which might have been."""
    row = admin.execute(
        "SELECT c.oid, format('%I.%I', n.nspname, c.relname), "
        "obj_description(c.oid, 'pg_class') "
        "FROM pg_constraint k JOIN pg_class c ON c.oid = k.confrelid "
        "JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE k.contype = 'f' AND k.conrelid = 'public.tasks'::regclass"
    ).fetchone()
    oid, name, comment = row or (0, None, None)
    columns = admin.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped",
        [oid],
    ).fetchall()
    others = admin.execute(
        "SELECT format('%%I.%%I', n.nspname, c.relname) FROM pg_class c "
        "JOIN pg_namespace n ON n.oid = c.relnamespace "
        "JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'id' "
        "WHERE c.relname IN ('user', 'users') AND c.relkind IN ('r', 'p') AND c.oid <> %s "
        "AND n.nspname NOT IN ('pg_catalog', 'information_schema') "
        # neon_auth and auth (Supabase) keep theirs in schemas of their own
        "AND a.atttypid = ANY ('{text,varchar}'::regtype[]) ORDER BY 1",
        [oid],
    ).fetchall()
    names = frozenset(column for (column,) in columns)
    return UsersTable(name, comment == OURS, names, tuple(other for (other,) in others))


def list_users(admin: Admin, *, limit: int = 100, after: str = "") -> list[UserRow]:
    """Users by their ids, from the one after `after`."""
    return _users(admin, sql.SQL("WHERE u.id > %s ORDER BY u.id LIMIT %s"), [after, limit])


def show_user(admin: Admin, user: str) -> UserRow:
    """One user."""
    found = _users(admin, sql.SQL("WHERE u.id = %s"), [user])
    if not found:
        raise UnknownUser(f"there is no user {user!r}")
    return found[0]


def add_user(admin: Admin, user: str, *, email: str | None = None, name: str | None = None) -> bool:
    """Make a user; false if there is one of that id already."""
    table = users_table(admin)
    if not table.ours:
        raise UsersNotOurs(_not_ours(table))
    made = admin.execute(
        "INSERT INTO public.users (id, email, name) VALUES (%s, %s, %s) "
        "ON CONFLICT (id) DO NOTHING",
        [valid_owner(user), email, name],
    )
    return made.rowcount == 1


def add_users(admin: Admin, users: Iterable[tuple[str, str | None, str | None]]) -> int:
    """Make those users (id, e-mail, name) that are not there; how many that were."""
    table = users_table(admin)
    if not table.ours:
        raise UsersNotOurs(_not_ours(table))
    ids, emails, names = ([*column] for column in zip(*users, strict=True))
    made = admin.execute(
        "INSERT INTO public.users (id, email, name) "
        "SELECT * FROM unnest(%s::text[], %s::text[], %s::text[]) "
        "ON CONFLICT DO NOTHING",
        [ids, emails, names],
    )
    return made.rowcount


def delete_user(admin: Admin, user: str) -> int:
    """Delete a user and with it its tasks; how many those were."""
    table = users_table(admin)
    with admin.transaction():
        deleted = admin.execute("DELETE FROM public.tasks WHERE user_id = %s", [user]).rowcount
        known = deleted
        if table.name is not None:
            query = sql.SQL("DELETE FROM {} WHERE id = %s").format(table.identifier)
            known = admin.execute(query, [user]).rowcount
        if not known:
            raise UnknownUser(f"there is no user {user!r}")
    return deleted


def holds_others(admin: Admin, prefix: str) -> tuple[int, int]:
    """How many users and tasks there are but those of users whose ids start so."""
    table = users_table(admin)
    users = _NOBODY if table.name is None else table.identifier
    row = admin.execute(
        sql.SQL(
            "SELECT (SELECT count(*) FROM {} u WHERE NOT starts_with(u.id, %s)), "
            "(SELECT count(*) FROM public.tasks "
            "WHERE NOT starts_with(user_id, %s))"
        ).format(users),
        [prefix, prefix],
    ).fetchone()
    assert row is not None  # noqa: S101 - an aggregate has a row
    return row[0], row[1]


_NOBODY = sql.SQL("(SELECT NULL::text AS id WHERE false)")


def _users(admin: Admin, condition: sql.SQL, values: list[object]) -> list[UserRow]:
    table = users_table(admin)
    if table.name is None:
        users: sql.Composable = sql.SQL("(SELECT DISTINCT user_id AS id FROM public.tasks)")
    else:
        users = table.identifier
    query = sql.SQL(
        "SELECT u.id, {email}, {name}, {created_at}, t.tasks, t.completed, t.last_change "
        "FROM {users} u CROSS JOIN LATERAL ("
        "SELECT count(*) AS tasks, "
        "count(*) FILTER (WHERE completed) AS completed, "
        "max(updated_at) AS last_change "
        "FROM public.tasks WHERE user_id = u.id) t {condition}"
    ).format(
        users=users,
        condition=condition,
        email=_column(table, "email"),
        name=_column(table, "name"),
        created_at=_column(table, "created_at", "createdAt"),
    )
    return [UserRow(*row) for row in admin.execute(query, values)]


def _column(table: UsersTable, *names: str) -> sql.Composable:
    """The first of these columns that the table has."""
    for name in names:
        if name in table.columns:
            return sql.SQL("u.{}").format(sql.Identifier(name))
    return sql.SQL("NULL")


def _not_ours(table: UsersTable) -> str:
    if table.name is None:
        return "users are kept in another database: add them there"
    return f"the users table {table.name} belongs to another program (Better Auth): sign up there"
