"""What an operator does across users: COPY in and out, users, statistics, the tenant's role.

All of it is outside the tenant's lock, on purpose: it works on everybody's rows, with the login
that owns them, on the direct URL. Any other login would be shown no rows without a word, so the
sessions made here turn row-level security off, and PostgreSQL refuses such a login instead.
"""

from taskcore.admin.connection import DiskFull, NotPermitted, connected
from taskcore.admin.grants import grant, tenants
from taskcore.admin.statistics import Statistics, statistics
from taskcore.admin.tasks import (
    Added,
    add_missing,
    copy_in,
    count_between,
    export,
    line,
    tasks_of,
)
from taskcore.admin.users import (
    UserRow,
    UsersNotOurs,
    UsersTable,
    add_user,
    add_users,
    delete_user,
    holds_others,
    list_users,
    show_user,
    users_table,
)

__all__ = [
    "Added",
    "DiskFull",
    "NotPermitted",
    "Statistics",
    "UserRow",
    "UsersNotOurs",
    "UsersTable",
    "add_missing",
    "add_user",
    "add_users",
    "connected",
    "copy_in",
    "count_between",
    "delete_user",
    "export",
    "grant",
    "holds_others",
    "line",
    "list_users",
    "show_user",
    "statistics",
    "tasks_of",
    "tenants",
    "users_table",
]
