"""The users, in the table that the tasks refer to: Better Auth's, ours, or none."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from psycopg import sql

from taskcore.errors import UnknownUser, UsersNotOurs
from taskcore.owner import valid_owner
from taskcore.tenancy import FIND_USERS_TABLE, TRUSTED_ROLES

from .connection import Admin


@dataclass(frozen=True)
class UsersTable:
    """The table that the tasks refer to; `name` is None where users are kept elsewhere."""

    name: str | None
    ours: bool
    columns: frozenset[str]
    others: tuple[str, ...]
    """Other tables that, by name and columns, may hold users."""

    @property
    def identifier(self) -> sql.SQL:
        """The name as a part of a statement."""
        return sql.SQL(self.name or "")  # quoted by the database


@dataclass(frozen=True)
class UserRow:
    """A user with the number of tasks."""

    id: str
    email: str | None
    name: str | None
    created_at: datetime | None
    tasks: int
    completed: int
    last_change: datetime | None


def users_table(admin: Admin) -> UsersTable:
    """Find the table by the foreign key, and the tables that might have been meant instead."""
    row = admin.execute(FIND_USERS_TABLE).fetchone()
    oid, name, ours = row or (0, None, False)
    columns = admin.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped",
        [oid],
    ).fetchall()
    others = admin.execute(
        sql.SQL(
            "SELECT pg_catalog.format('%%I.%%I', n.nspname, c.relname) FROM pg_class c "
            "JOIN pg_namespace n ON n.oid = c.relnamespace "
            "JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'id' "
            "WHERE c.relname IN ('user', 'users') AND c.relkind IN ('r', 'p') AND c.oid <> %s "
            "AND n.nspname NOT IN ('pg_catalog', 'information_schema') "
            # neon_auth and auth (Supabase) keep users in schemas of their own.
            "AND a.atttypid = ANY ('{{text,varchar}}'::regtype[]) "
            # Planning a query calls functions of a table's indexes, with the operator's rights.
            "AND c.relowner IN ({}) ORDER BY 1"
        ).format(sql.SQL(TRUSTED_ROLES)),
        [oid],
    ).fetchall()
    names = frozenset(column for (column,) in columns)
    return UsersTable(name, bool(ours), names, tuple(other for (other,) in others))


def list_users(admin: Admin, *, limit: int = 100, after: str = "") -> list[UserRow]:
    """List users by their ids, beginning after the id `after`."""
    return _users(admin, sql.SQL("WHERE u.id > %s ORDER BY u.id LIMIT %s"), [after, limit])


def show_user(admin: Admin, user: str) -> UserRow:
    """Return one user."""
    found = _users(admin, sql.SQL("WHERE u.id = %s"), [user])
    if not found:
        raise UnknownUser(f"there is no user {user!r}")
    return found[0]


def add_user(admin: Admin, user: str, *, email: str | None = None, name: str | None = None) -> bool:
    """Make a user; return False if one with that id exists already."""
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
    """Make the users (id, e-mail, name) that do not exist; return how many were made."""
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
    """Delete a user with all tasks; return how many tasks those were."""
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


def count_others(admin: Admin, prefix: str) -> tuple[int, int]:
    """Count the users, and the tasks of users, whose ids do not start with the prefix."""
    table = users_table(admin)
    users = _NO_USERS if table.name is None else table.identifier
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


_NO_USERS = sql.SQL("(SELECT NULL::text AS id WHERE false)")


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
    """Return the first of these columns that the table has."""
    for name in names:
        if name in table.columns:
            return sql.SQL("u.{}").format(sql.Identifier(name))
    return sql.SQL("NULL")


def _not_ours(table: UsersTable) -> str:
    if table.name is None:
        return "users are kept in another database: add them there"
    return f"the users table {table.name} belongs to another program (Better Auth): sign up there"
