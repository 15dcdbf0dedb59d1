"""Operations inside the caller's own transaction.

`run_in(session, op)` joins the unit of work of a SQLModel or SQLAlchemy session: the caller's
pending changes are flushed first, and the operation is committed or rolled back with the rest. The
tenant role and the owner are bound inside a savepoint and restored before it is released, so that
the caller's own statements are not affected.
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeAlias, TypeVar, overload

import psycopg
from sqlalchemy import Connection, TextClause, event, inspect, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, PendingRollbackError
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session
from sqlalchemy.orm import Session, scoped_session

from taskcore.citus import IS_DISTRIBUTED
from taskcore.errors import (
    ConnectionLost,
    DatabaseFault,
    InvalidInput,
    IsolationBroken,
    SessionRefused,
    TaskcoreError,
)
from taskcore.models import Task
from taskcore.tenancy import OWNER_SETTING, SEARCH_PATH, TENANT_ROLE

from .op import Op, Query, Row
from .owner_check import isolation_broken, rows_are_owners
from .sqlstates import error_for

T = TypeVar("T")

BlockingSession: TypeAlias = Session | scoped_session[Any]
AwaitingSession: TypeAlias = AsyncSession | async_scoped_session[Any]

_READ = text(
    "SELECT pg_catalog.current_setting('role'), pg_catalog.current_setting('search_path'), "
    f"pg_catalog.current_setting('{OWNER_SETTING}', true), {IS_DISTRIBUTED}"
)
_SET = text(
    "SELECT pg_catalog.set_config('search_path', :search_path, true), "
    "pg_catalog.set_config('role', :role, true), "
    f"pg_catalog.set_config('{OWNER_SETTING}', :owner, true)"
)
_SET_ON_ALL_NODES = text(
    "SELECT pg_catalog.set_config('search_path', :search_path, true), "
    "pg_catalog.set_config('role', :role, true), "
    "public.taskcore_set_owner(CAST(:owner AS pg_catalog.text))"
)
# The answer to both repeats the owner in this column.
_BOUND_OWNER = 2


# A coroutine, and not any awaitable, so that type checkers report a forgotten `await`.
@overload
def run_in(session: BlockingSession, op: Op[T]) -> T: ...
@overload
def run_in(session: AwaitingSession, op: Op[T]) -> Coroutine[Any, Any, T]: ...
def run_in(session: BlockingSession | AwaitingSession, op: Op[T]) -> T | Coroutine[Any, Any, T]:
    """Run an operation in the transaction of a session; await it if the session is async."""
    found = real_session(session)
    if isinstance(found, AsyncSession):
        return found.run_sync(_run, op)
    return _run(found, op)


def real_session(session: BlockingSession | AwaitingSession) -> Session | AsyncSession:
    """Return the session itself, of a scoped one that of this scope."""
    found: object = session
    if isinstance(found, scoped_session | async_scoped_session):
        found = found()
    if not isinstance(found, Session | AsyncSession):
        raise InvalidInput(f"a Session or an AsyncSession is needed, not {type(found).__name__}")
    return found


def _run(session: Session, op: Op[T]) -> T:
    connection = flushed_connection(session)
    with _bound(connection, op.owner):
        result = _drive(session, connection, op)
    return op.read(result)


def flushed_connection(session: Session) -> Connection:
    """Flush, and return the session's connection; an error of the flush is the caller's."""
    try:
        session.flush()
        with translated():
            connection = session.connection(bind_arguments={"mapper": inspect(Task)})
    except PendingRollbackError as error:  # an earlier flush has failed
        raise SessionRefused from error
    if connection.dialect.name != "postgresql":
        raise SessionRefused(f"tasks are in PostgreSQL, and this is {connection.dialect.name}")
    return connection


def _drive(session: Session, connection: Connection, op: Op[Any]) -> Any:
    steps = op.start()
    try:
        query = next(steps)
        while True:
            try:
                found = _execute(connection, op.owner, query)
            except TaskcoreError as error:
                query = steps.throw(error)
            else:
                if query.statement.writes:
                    expire_tasks(session)
                    # The session does not know of this write. After a rollback to a savepoint of
                    # the caller's it would keep what it has read since.
                    event.listen(session, "after_soft_rollback", expire_tasks)
                query = steps.send(found)
    except StopIteration as done:
        return done.value
    finally:
        steps.close()


@contextmanager
def _bound(connection: Connection, owner: str) -> Iterator[None]:
    """Bind the tenant role and the owner inside a savepoint, and restore what was there before.

    If the operation fails, the rollback to the savepoint restores them. In AUTOCOMMIT, where the
    binding would be gone before the next statement, the savepoint itself is refused.
    """
    with translated(binding=True), connection.begin_nested():
        before = bind(connection, owner, SEARCH_PATH)
        yield
        restore(connection, before)


class Before(NamedTuple):
    """What a binding has found, and the statement that sets it."""

    statement: TextClause
    settings: dict[str, str]


def bind(connection: Connection, owner: str, search_path: str | None = None) -> Before:
    """Bind the tenant role and the owner for a transaction; return the settings before."""
    role, own_search_path, user_id, distributed = connection.execute(_READ).one()
    statement = _SET_ON_ALL_NODES if distributed else _SET
    bound = {"role": TENANT_ROLE, "search_path": search_path or own_search_path, "owner": owner}
    if connection.execute(statement, bound).one()[_BOUND_OWNER] != owner:
        raise _broken(connection)
    before = {"role": role, "search_path": own_search_path, "owner": user_id or ""}
    return Before(statement, before)


def restore(connection: Connection, before: Before) -> None:
    """Set what `bind` has found."""
    connection.execute(before.statement, before.settings)


def _execute(connection: Connection, owner: str, query: Query) -> list[Row]:
    with translated():
        found = connection.execute(query.statement.core, dict(query.values))
        rows = [tuple(map(_utc, row)) for row in found]
    if not rows_are_owners(query.statement, owner, rows):
        raise _broken(connection)
    return rows


def _broken(connection: Connection) -> IsolationBroken:
    """Close the connection, which also undoes the caller's transaction."""
    connection.invalidate()
    return isolation_broken()


def _utc(value: object) -> object:
    """Return times in UTC, whatever the session's TimeZone is."""
    return value.astimezone(UTC) if isinstance(value, datetime) else value


def expire_tasks(session: Session, _: object = None) -> None:
    for instance in session.identity_map.values():
        if isinstance(instance, Task):
            session.expire(instance)


@contextmanager
def translated(*, binding: bool = False) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        raise _error_for(error, binding=binding) from error.orig


def _error_for(error: DBAPIError, *, binding: bool) -> TaskcoreError:
    # psycopg's errors and those of SQLAlchemy's asyncpg adapter both have this attribute.
    if sqlstate := getattr(error.orig, "sqlstate", None):
        return error_for(sqlstate, source_function=_source_function(error.orig), binding=binding)
    # Without an SQLSTATE the server is gone, or the driver could not send the values.
    lost = isinstance(error, (OperationalError, InterfaceError))
    return ConnectionLost() if lost else DatabaseFault()


def _source_function(error: BaseException | None) -> str | None:
    """Return the name of the server's function that raised the error, as the driver reports it."""
    if isinstance(error, psycopg.Error):
        return error.diag.source_function
    # asyncpg's own error is the cause of the adapter's.
    return getattr(getattr(error, "__cause__", None), "server_source_function", None)
