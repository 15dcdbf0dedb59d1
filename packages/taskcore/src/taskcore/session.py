"""Operations inside the caller's own transaction.

`run_in(session, op)` joins the unit of work of a SQLModel or SQLAlchemy session: what the caller
has pending is flushed first, and what the operation did is committed or rolled back with the rest.
The tenant's role and owner are bound inside a savepoint and put back before it is released, so
that the caller's own statements notice nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar, overload

from sqlalchemy import Connection, event, inspect, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, PendingRollbackError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from .effects import Op, Query, Row
from .errors import ConnectionLost, DatabaseFault, SessionRefused, TaskcoreError
from .models import Task
from .sqlstates import error_for
from .wire import TENANT_ROLE

R = TypeVar("R")
T = TypeVar("T")

_READ = text(
    "SELECT pg_catalog.current_setting('role'), pg_catalog.current_setting('search_path'), "
    "pg_catalog.current_setting('taskcore.user_id', true)"
)
_SET = text(
    "SELECT pg_catalog.set_config('search_path', :search_path, true), "
    "pg_catalog.set_config('role', :role, true), "
    "pg_catalog.set_config('taskcore.user_id', :owner, true)"
)


@overload
def run_in(session: Session, op: Op[Any, T]) -> T: ...
@overload
def run_in(session: AsyncSession, op: Op[Any, T]) -> Awaitable[T]: ...
def run_in(session: Session | AsyncSession, op: Op[Any, T]) -> T | Awaitable[T]:
    """Run an operation in the transaction of a session; await it if the session is async."""
    if isinstance(session, AsyncSession):
        return session.run_sync(_run, op)
    return _run(session, op)


def _run(session: Session, op: Op[R, T]) -> T:
    connection = _connection(session)
    with _bound(connection, op.owner):
        result = _drive(session, connection, op)
    return op.shape(result)


def _connection(session: Session) -> Connection:
    """The session's connection, after what was pending; a failing flush is the caller's."""
    try:
        session.flush()
        with _translated():
            return session.connection(bind_arguments={"mapper": inspect(Task)})
    except PendingRollbackError as error:  # an earlier flush has failed
        raise SessionRefused from error


def _drive(session: Session, connection: Connection, op: Op[R, T]) -> R:
    steps = op.start()
    try:
        query = next(steps)
        while True:
            try:
                found = _execute(connection, query)
            except TaskcoreError as error:
                query = steps.throw(error)
            else:
                if query.statement.writes:
                    _expire_tasks(session)
                    # The session knows nothing of this write. After going back to a savepoint of
                    # the caller's it would keep what it has read since.
                    event.listen(session, "after_soft_rollback", _expire_tasks)
                query = steps.send(found)
    except StopIteration as done:
        result: R = done.value
        return result
    finally:
        steps.close()


@contextmanager
def _bound(connection: Connection, owner: str) -> Iterator[None]:
    """In a savepoint, the tenant's role and the owner; after it, what was there before.

    Where the operation fails, going back to the savepoint puts them back; in AUTOCOMMIT, where
    what is bound would be gone before the next statement, the savepoint itself is refused.
    """
    with _translated(binding=True), connection.begin_nested():
        role, search_path, user_id = connection.execute(_READ).one()
        bound = {"role": TENANT_ROLE, "search_path": "", "owner": owner}
        connection.execute(_SET, bound)
        yield
        before = {"role": role, "search_path": search_path, "owner": user_id or ""}
        connection.execute(_SET, before)


def _execute(connection: Connection, query: Query) -> list[Row]:
    with _translated():
        found = connection.execute(query.statement.core, dict(query.values))
        return [tuple(map(_utc, row)) for row in found]


def _utc(value: object) -> object:
    """Times in UTC, whatever the session's TimeZone made of them."""
    return value.astimezone(UTC) if isinstance(value, datetime) else value


def _expire_tasks(session: Session, _: object = None) -> None:
    for instance in session.identity_map.values():
        if isinstance(instance, Task):
            session.expire(instance)


@contextmanager
def _translated(*, binding: bool = False) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        raise _error_for(error, binding=binding) from error.orig


def _error_for(error: DBAPIError, *, binding: bool) -> TaskcoreError:
    # psycopg and asyncpg both say it so.
    if sqlstate := getattr(error.orig, "sqlstate", None):
        return error_for(sqlstate, binding=binding)
    # No word from the server: it is gone, or the driver could not send the values.
    lost = isinstance(error, (OperationalError, InterfaceError))
    return ConnectionLost() if lost else DatabaseFault()
