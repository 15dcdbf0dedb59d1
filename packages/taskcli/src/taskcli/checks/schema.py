"""The schema: whether it is what this version needs, and on the right users table."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from psycopg import sql

from taskcli import environment
from taskcore import admin, schema

from . import Ill

if TYPE_CHECKING:
    from taskcore.admin.connection import Admin


def at_head(url: str) -> str:
    at, head = schema.current(url), schema.head()
    if at is None or at in schema.older_revisions():
        raise Ill(f"it is at {at or 'nothing'}, and this version needs {head}", "taskcli migrate")
    return f"{at} (head)" if at == head else f"{at}, newer than this version's {head}"


def drift(url: str) -> str:
    found = schema.check(url)
    if schema.current(url) != schema.head():
        return "not compared: the schema is at another revision"
    if found:
        raise Ill("; ".join(found), "what `taskcli migrate --check` names, put back by hand")
    return "no difference"


def users_table(session: Admin) -> str:
    table = admin.users_table(session)
    wish = os.environ.get(environment.USERS_TABLE)
    if wish and not _is(session, wish, table.name):
        raise Ill(
            f"{environment.USERS_TABLE} is {wish}, and the tasks refer to {table.name or 'none'}",
            f"taskcli users adopt '{wish}'",
        )
    if table.name is None:
        return "none: users are kept in another database"
    if not _has_users(session, table.name):
        for other in table.others:
            if _has_users(session, other):
                raise Ill(
                    f"the tasks refer to {table.name}, which is empty; users are in {other}",
                    f"taskcli users adopt '{other}'",
                )
    return table.name + (", made by taskcli migrate" if table.ours else "")


def _is(session: Admin, wish: str, name: str | None) -> bool:
    if wish == "none" or name is None:
        return wish == "none" and name is None
    row = session.execute(
        "SELECT %(name)s::regclass IN (to_regclass(%(wish)s), to_regclass('public.' || %(wish)s), "
        "to_regclass('public.' || quote_ident(%(wish)s)))",
        {"name": name, "wish": wish},
    ).fetchone()
    return bool(row and row[0])


def _has_users(session: Admin, table: str) -> bool:
    query = sql.SQL("SELECT EXISTS (SELECT FROM {})").format(sql.SQL(table))
    row = session.execute(query).fetchone()
    return bool(row and row[0])
