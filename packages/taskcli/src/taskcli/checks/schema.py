"""The schema: its revision, differences from what this version needs, and the users table."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from psycopg import sql

from taskcli import environment
from taskcore import Database, admin, migrations

from . import REPAIR, CheckFailed

if TYPE_CHECKING:
    from taskcore.admin.connection import Admin


def revision(url: str) -> str:
    return _compared(migrations.current(url))


def revision_for_tenant(url: str) -> str:
    """The revision, asked by a login that has no right but to take the tenant role."""
    with Database(url, max_size=1) as database:
        return _compared(database.run(migrations.database_revision()))


def _compared(at: str | None) -> str:
    head = migrations.head()
    if migrations.is_behind(at):
        raise CheckFailed(
            f"it is at {at or 'nothing'}, and this version needs {head}", "taskcli migrate"
        )
    return f"{at} (head)" if at == head else f"{at}, newer than this version's {head}"


def drift(url: str) -> str:
    found = migrations.check(url)
    if migrations.current(url) != migrations.head():
        return "not compared: the schema is at another revision"
    if found:
        raise CheckFailed("; ".join(found), REPAIR)
    return "no difference"


def creators(session: Admin) -> str:
    """Fail if logins that are not trusted may create objects beside the tasks."""
    if found := admin.creators(session):
        logins = ", ".join(found)
        raise CheckFailed(
            f"these may create objects in the schema public: {logins}",
            f"REVOKE CREATE ON SCHEMA public FROM {logins}",
        )
    return "only trusted logins may create objects there"


def users_table(session: Admin) -> str:
    table = admin.users_table(session)
    wanted = os.environ.get(environment.USERS_TABLE)
    if wanted and not _is_same_table(session, wanted, table.name):
        raise CheckFailed(
            f"{environment.USERS_TABLE} is {wanted}, and the tasks refer to {table.name or 'none'}",
            f"taskcli users adopt '{wanted}'",
        )
    if table.name is None:
        return "none: users are kept in another database"
    if not _has_users(session, table.name):
        for other in table.others:
            if _has_users(session, other):
                raise CheckFailed(
                    f"the tasks refer to {table.name}, which is empty; users are in {other}",
                    f"taskcli users adopt '{other}'",
                )
    return table.name + (", made by taskcli migrate" if table.ours else "")


def _is_same_table(session: Admin, wanted: str, name: str | None) -> bool:
    if wanted == "none" or name is None:
        return wanted == "none" and name is None
    row = session.execute(
        "SELECT %(name)s::regclass IN (to_regclass(%(wanted)s), "
        "to_regclass('public.' || %(wanted)s), "
        "to_regclass('public.' || quote_ident(%(wanted)s)))",
        {"name": name, "wanted": wanted},
    ).fetchone()
    return bool(row and row[0])


def _has_users(session: Admin, table: str) -> bool:
    query = sql.SQL("SELECT EXISTS (SELECT FROM {})").format(sql.SQL(table))
    row = session.execute(query).fetchone()
    return bool(row and row[0])
