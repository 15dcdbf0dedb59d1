"""The role and both locks, tried: a row of one user is really asked for as another.

Everything happens in a transaction that is rolled back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import psycopg
from psycopg import sql

from taskcore import TaskCreate, admin, create_task, get_task
from taskcore.effects import Op, Statement
from taskcore.wire import BIND, TENANT_ROLE

from . import Ill

if TYPE_CHECKING:
    from taskcore.admin.connection import Admin

_ANYBODYS = "SELECT count(*) FROM public.tasks WHERE id = %s"
_DRIFT = "what `taskcli migrate --check` names, put back by hand"


class NoUser(Exception):
    """There is nobody whose task could be asked for."""


def role(connection: psycopg.Connection[Any]) -> str:
    """Whether the server's login may take the tenant's role."""
    login = connection.info.user
    with connection.transaction(force_rollback=True):
        try:
            _bind(connection, "nobody")
        except psycopg.errors.InsufficientPrivilege as error:
            raise Ill(
                f"the login {login} may not take the role {TENANT_ROLE}",
                f"taskcli migrate --grant {login}",
            ) from error
        except psycopg.errors.InvalidParameterValue as error:
            raise Ill(f"the role {TENANT_ROLE} does not exist", "taskcli migrate") from error
        row = connection.execute(
            "SELECT rolsuper OR rolbypassrls FROM pg_catalog.pg_roles WHERE rolname = current_user"
        ).fetchone()
        if row is None or row[0]:
            raise Ill(f"{TENANT_ROLE} may pass every lock", f"ALTER ROLE {TENANT_ROLE} NOBYPASSRLS")
    return f"{login} takes {TENANT_ROLE}"


def first(session: Admin) -> str:
    """The predicate: every operation asks for the rows of its owner only."""
    try:
        with _task(session) as (owner, task):
            session.execute("SELECT set_config('role', 'none', true)")
            if _count(session, task) != 1:
                raise Ill("the owner's login does not see the row: is it the owner's?")
            if len(_rows(session, get_task(owner, task))) != 1:
                raise Ill("a user does not get a task of their own")
            if _rows(session, get_task("taskcli doctor", task)):
                raise Ill("a user gets a task of another's: the code is not what was released")
    except NoUser:
        return "not tried: there is no user yet"
    return "a row of another user was asked for, and not given"


def second(session: Admin) -> str:
    """Row-level security: the role sees the rows of the bound user, whatever it asks for."""
    try:
        with _task(session) as (_, task):
            if _count(session, task) != 1:
                raise Ill("a user does not see a row of their own", _DRIFT)
            _bind(session, "taskcli doctor")
            if _count(session, task) != 0:
                raise Ill("row-level security lets a row of another user through", _DRIFT)
    except NoUser:
        return "not tried: there is no user yet"
    return "a row of another user was asked for, and not given"


@contextmanager
def _task(session: Admin) -> Iterator[tuple[str, UUID]]:
    """A task of somebody's, made as its owner would, until the transaction is rolled back."""
    with session.transaction(force_rollback=True):
        owner = _somebody(session)
        # Off for an operator: a refusal instead of missing rows. Here missing rows are the point.
        session.execute("SELECT set_config('row_security', 'on', true)")
        _bind(session, owner)
        made = _rows(session, create_task(owner, TaskCreate(title="made by taskcli doctor")))
        if not made:
            raise Ill("a user can't make a task", _DRIFT)
        yield owner, made[0][0]


def _somebody(session: Admin) -> str:
    table = admin.users_table(session)
    if table.name is None:
        return f"taskcli doctor {uuid4()}"
    row = session.execute(sql.SQL("SELECT id FROM {} LIMIT 1").format(table.identifier)).fetchone()
    if row is not None:
        return str(row[0])
    if not table.ours:
        raise NoUser
    user = f"taskcli doctor {uuid4()}"
    admin.add_user(session, user)
    return user


def _bind(connection: psycopg.Connection[Any], owner: str) -> None:
    _ask(connection, BIND, {"owner": owner, "timeout": "5000"})


def _rows(connection: psycopg.Connection[Any], op: Op[Any, Any]) -> list[Any]:
    """The rows of an operation's first statement, without what usually surrounds it."""
    query = next(op.start())
    return _ask(connection, query.statement, query.values)


def _ask(
    connection: psycopg.Connection[Any], statement: Statement, values: Mapping[str, object]
) -> list[Any]:
    with psycopg.RawCursor(connection) as cursor:
        cursor.execute(statement.sql, [values[name] for name in statement.parameters])
        return cursor.fetchall()


def _count(session: Admin, task: UUID) -> int:
    row = session.execute(_ANYBODYS, [task]).fetchone()
    return int(row[0]) if row else 0
