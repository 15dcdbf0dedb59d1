"""The tenant role and both locks, tried: a row of one user is asked for as another user.

Everything happens in transactions that are rolled back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import psycopg
from psycopg import sql

from taskcore import TaskCreate, admin, create_task, get_task
from taskcore.citus import IS_DISTRIBUTED
from taskcore.execution.op import Op, Statement
from taskcore.execution.wire import BIND_ON_ALL_NODES, BIND_OWNER
from taskcore.tasks.fields import TASK_COLUMNS
from taskcore.tenancy import TENANT_ROLE

from . import REPAIR, CheckFailed

if TYPE_CHECKING:
    from taskcore.admin.connection import Admin

_ID = TASK_COLUMNS.index("id")
_COUNT_WITHOUT_OWNER = "SELECT count(*) FROM public.tasks WHERE id = %s"
_OTHER_USER = "taskcli doctor"
_OWNER_OF_TASKS = (
    "SELECT pg_catalog.pg_has_role(session_user, c.relowner, 'USAGE') "
    "FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
    "WHERE n.nspname = 'public' AND c.relname = 'tasks'"
)


class NoUser(Exception):
    """There is no user who could own a task, and none can be added."""


def role(connection: psycopg.Connection[Any]) -> str:
    """Whether the server's login may take the tenant role, and row-level security holds for it."""
    login = connection.info.user
    with connection.transaction(force_rollback=True):
        try:
            with connection.transaction():
                bind(connection, _OTHER_USER)
        except psycopg.errors.InsufficientPrivilege as error:
            raise CheckFailed(
                f"the login {login} may not take the role {TENANT_ROLE}",
                f"taskcli migrate --grant {login}",
            ) from error
        except psycopg.errors.InvalidParameterValue as error:
            # A restore into a cluster without the role brings the tables all the same.
            migrated = connection.execute(_OWNER_OF_TASKS).fetchone()
            raise CheckFailed(
                f"the role {TENANT_ROLE} does not exist", REPAIR if migrated else "taskcli migrate"
            ) from error
        row = connection.execute(
            "SELECT rolsuper OR rolbypassrls FROM pg_catalog.pg_roles WHERE rolname = current_user"
        ).fetchone()
        if row is None or row[0]:
            raise CheckFailed(f"the role {TENANT_ROLE} bypasses row-level security", REPAIR)
    return f"{login} takes {TENANT_ROLE}"


def may_own(connection: psycopg.Connection[Any]) -> bool:
    """Whether this login has the rights of the tasks' owner; so it has if there are no tasks."""
    row = connection.execute(_OWNER_OF_TASKS).fetchone()
    return row is None or bool(row[0])


def no_row_of_others(connection: psycopg.Connection[Any]) -> str:
    """The second lock, as the server's login can try it: a user without tasks sees no row."""
    with connection.transaction(force_rollback=True):
        bind(connection, _OTHER_USER)
        row = connection.execute("SELECT EXISTS (SELECT FROM public.tasks)").fetchone()
        if row is None or row[0]:
            raise CheckFailed("row-level security lets a row of another user through", REPAIR)
    return "a user without tasks sees no row"


def owner_predicate(session: Admin) -> str:
    """The first lock: a statement returns only rows of its owner, without row-level security."""
    try:
        # The operator's login makes the task and looks at it: on a cluster, one transaction may not
        # change a task as one role and look at it as another.
        with _temporary_task(session, as_tenant=False) as (owner, task):
            if _count(session, task) != 1:
                raise CheckFailed(
                    "the operator's login does not see all rows: use the login that owns the tasks"
                )
            if len(_rows(session, get_task(owner, task))) != 1:
                raise CheckFailed("a user does not get a task of their own")
            if _rows(session, get_task(_OTHER_USER, task)):
                raise CheckFailed("a user gets a task of another user: the installed code differs")
    except NoUser:
        return "not tried: there is no user yet"
    return "a row of another user was asked for, and not given"


def row_level_security(session: Admin) -> str:
    """The second lock: the tenant role sees only rows of the bound owner, in any statement."""
    try:
        with _temporary_task(session, as_tenant=True) as (_, task):
            if _count(session, task) != 1:
                raise CheckFailed("a user does not see a row of their own", REPAIR)
            bind(session, _OTHER_USER)
            if _count(session, task) != 0:
                raise CheckFailed("row-level security lets a row of another user through", REPAIR)
    except NoUser:
        return "not tried: there is no user yet"
    return "a row of another user was asked for, and not given"


@contextmanager
def _temporary_task(session: Admin, *, as_tenant: bool) -> Iterator[tuple[str, UUID]]:
    """Make a task, as its owner would if the tenant role is taken; yield both, then roll back."""
    with session.transaction(force_rollback=True):
        owner = _any_user(session)
        if as_tenant:
            # An operator's session has it off, and is refused instead of seeing fewer rows. This
            # check needs the fewer rows.
            session.execute("SELECT pg_catalog.set_config('row_security', 'on', true)")
            bind(session, owner)
        made = _rows(session, create_task(owner, TaskCreate(title="made by taskcli doctor")))
        if not made:
            raise CheckFailed("a user can't make a task", REPAIR)
        yield owner, made[0][_ID]


def _any_user(session: Admin) -> str:
    table = admin.users_table(session)
    if table.name is None:
        return f"taskcli doctor {uuid4()}"
    row = session.execute(sql.SQL("SELECT id FROM {} LIMIT 1").format(table.identifier)).fetchone()
    if row is not None:
        return str(row[0])
    if not table.ours or session.is_distributed():  # other nodes do not see a new user yet
        raise NoUser
    user = f"taskcli doctor {uuid4()}"
    admin.add_user(session, user)
    return user


def bind(connection: psycopg.Connection[Any], owner: str) -> None:
    """Take the tenant role for an owner, as an operation does, in the transaction that is open."""
    row = connection.execute(f"SELECT {IS_DISTRIBUTED}".encode()).fetchone()
    binding = BIND_ON_ALL_NODES if row and row[0] else BIND_OWNER
    _execute(connection, binding, {"owner": owner, "timeout": "5000"})


def _rows(connection: psycopg.Connection[Any], op: Op[Any]) -> list[Any]:
    """The rows of an operation's first statement, run without binding its owner."""
    query = next(op.start())
    return _execute(connection, query.statement, query.values)


def _execute(
    connection: psycopg.Connection[Any], statement: Statement, values: Mapping[str, object]
) -> list[Any]:
    with psycopg.RawCursor(connection) as cursor:
        cursor.execute(statement.sql, [values[name] for name in statement.parameters])
        return cursor.fetchall()


def _count(session: Admin, task: UUID) -> int:
    row = session.execute(_COUNT_WITHOUT_OWNER, [task]).fetchone()
    return int(row[0]) if row else 0
