"""What an operator does across users: COPY in and out, users, statistics, the tenant role.

None of it is under row-level security, on purpose: it works on the rows of all users, with the
login that owns the tables, on the direct URL. Another login would silently see no rows, so these
sessions set `row_security = off`, with which PostgreSQL refuses such a login instead.
"""

from taskcore.admin.connection import Admin, connected
from taskcore.admin.grants import TenantRole, creators, grant, tenant_role
from taskcore.admin.statistics import Statistics, statistics
from taskcore.admin.tasks import (
    Added,
    add_missing,
    copy_in,
    copy_line,
    count_between,
    export,
    tasks_of,
)
from taskcore.admin.users import (
    UserRow,
    UsersTable,
    add_user,
    add_users,
    count_others,
    delete_user,
    list_users,
    show_user,
    users_table,
)
from taskcore.errors import DiskFull, NotPermitted, UsersNotOurs

__all__ = [
    "Added",
    "Admin",
    "DiskFull",
    "NotPermitted",
    "Statistics",
    "TenantRole",
    "UserRow",
    "UsersNotOurs",
    "UsersTable",
    "add_missing",
    "add_user",
    "add_users",
    "connected",
    "copy_in",
    "copy_line",
    "count_between",
    "count_others",
    "creators",
    "delete_user",
    "export",
    "grant",
    "list_users",
    "show_user",
    "statistics",
    "tasks_of",
    "tenant_role",
    "users_table",
]
