"""The schema's migrations: `from taskcore import migrations; migrations.upgrade(url)`.

Alembic, configured in code. All of it runs on the direct URL with the login that owns the tasks,
because the lock that keeps two migrations apart belongs to a session, which a transaction pooler
does not give.
"""

from .distribution import distribute, is_distributed
from .history import head, history, is_behind
from .own_tables import BETTER_AUTH_TABLES, keep_foreign_keys, leave_out
from .repairs import Repair
from .revision import database_revision
from .runner import (
    adopt_users,
    check,
    current,
    downgrade,
    repair,
    sql,
    upgrade,
)
from .state import USERS_TABLE_VARIABLE

__all__ = [
    "BETTER_AUTH_TABLES",
    "USERS_TABLE_VARIABLE",
    "Repair",
    "adopt_users",
    "check",
    "current",
    "database_revision",
    "distribute",
    "downgrade",
    "head",
    "history",
    "is_behind",
    "is_distributed",
    "keep_foreign_keys",
    "leave_out",
    "repair",
    "sql",
    "upgrade",
]
