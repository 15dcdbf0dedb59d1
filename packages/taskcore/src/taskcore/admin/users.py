"""The users, in the table that the tasks refer to: Better Auth's, ours, or none."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from psycopg import sql

from taskcore.errors import UnknownUser, UsersNotOurs
from taskcore.owner import valid_owner
from taskcore.tenancy import FIND_USERS_TABLE, TRUSTED_ROLES

from .connection import ONE_AFTER_THE_OTHER, Admin


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
    return _users(admin, sql.SQL("u.id > %s ORDER BY u.id LIMIT %s"), [after, limit])


def show_user(admin: Admin, user: str) -> UserRow:
    """Return one user."""
    found = _users(admin, sql.SQL("u.id = %s"), [user])
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
        "ON CONFLICT (id) DO NOTHING RETURNING id",
        [valid_owner(user), email, name],
    )
    return made.fetchone() is not None


def add_users(admin: Admin, users: Iterable[tuple[str, str | None, str | None]]) -> int:
    """Make the users (id, e-mail, name) that do not exist; return how many were made."""
    table = users_table(admin)
    if not table.ours:
        raise UsersNotOurs(_not_ours(table))
    ids, emails, names = ([*column] for column in zip(*users, strict=True))
    made = admin.execute(
        "INSERT INTO public.users (id, email, name) "
        "SELECT * FROM unnest(%s::text[], %s::text[], %s::text[]) "
        "ON CONFLICT DO NOTHING RETURNING id",
        [ids, emails, names],
    )
    return len(made.fetchall())


def delete_user(admin: Admin, user: str) -> int:
    """Delete a user with all tasks; return how many tasks those were."""
    table = users_table(admin)
    with admin.transaction():
        admin.execute(ONE_AFTER_THE_OTHER)
        query = "DELETE FROM public.tasks WHERE user_id = %s RETURNING id"
        deleted = known = admin.execute(query, [user]).fetchall()
        if table.name is not None:
            remove = sql.SQL("DELETE FROM {} WHERE id = %s RETURNING id").format(table.identifier)
            known = admin.execute(remove, [user]).fetchall()
        if not known:
            raise UnknownUser(f"there is no user {user!r}")
    return len(deleted)


def count_others(admin: Admin, prefix: str) -> tuple[int, int]:
    """Count the users, and the tasks of users, whose ids do not start with the prefix."""
    table = users_table(admin)
    users = 0
    if table.name is not None:
        users = _count(admin, table.identifier, sql.SQL("id"), prefix)
    return users, _count(admin, sql.SQL("public.tasks"), sql.SQL("user_id"), prefix)


def _count(admin: Admin, table: sql.SQL, user: sql.SQL, prefix: str) -> int:
    query = sql.SQL("SELECT count(*) FROM {} WHERE NOT starts_with({}, %s)").format(table, user)
    row = admin.execute(query, [prefix]).fetchone()
    return int(row[0]) if row else 0


def _users(admin: Admin, condition: sql.SQL, values: list[object]) -> list[UserRow]:
    # Two statements: Citus joins no table that is on every node with a LATERAL query of another.
    table = users_table(admin)
    users: sql.Composable = table.identifier
    if table.name is None:
        users = sql.SQL("(SELECT DISTINCT user_id AS id FROM public.tasks)")
    query = sql.SQL("SELECT u.id, {}, {}, {} FROM {} u WHERE {}").format(
        _column(table, "email"),
        _column(table, "name"),
        _column(table, "created_at", "createdAt"),
        users,
        condition,
    )
    with admin.transaction():
        found = admin.execute(query, values).fetchall()
        counted = admin.execute(
            "SELECT user_id, count(*), count(*) FILTER (WHERE completed), max(updated_at) "
            "FROM public.tasks WHERE user_id = ANY (%s) GROUP BY user_id",
            [[row[0] for row in found]],
        )
        tasks = {user: counts for user, *counts in counted}
    return [UserRow(*row, *tasks.get(row[0], (0, 0, None))) for row in found]


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
