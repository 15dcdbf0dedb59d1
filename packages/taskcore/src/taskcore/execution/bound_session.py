"""A session of the caller's, bound to one owner for reads, joins and changes of the caller's own.

`run_in` binds for one operation and restores. `bind_owner` keeps the binding for a with block, in
which the caller's own statements run as the tenant role with the caller's `search_path`. The
listeners are the session's, and are removed with the block.
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager, suppress
from typing import Any, overload

from sqlalchemy import Connection, event
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session, SessionTransaction

from taskcore.errors import SessionRefused, TaskcoreError
from taskcore.owner import valid_owner

from .session import (
    AwaitingSession,
    Before,
    BlockingSession,
    bind,
    expire_tasks,
    flushed_connection,
    real_session,
    restore,
    translated,
)


@overload
def bind_owner(session: BlockingSession, owner: str) -> AbstractContextManager[None]: ...
@overload
def bind_owner(session: AwaitingSession, owner: str) -> AbstractAsyncContextManager[None]: ...
def bind_owner(
    session: BlockingSession | AwaitingSession, owner: str
) -> AbstractContextManager[None] | AbstractAsyncContextManager[None]:
    """Bind the tenant role and the owner for a with block, `async with` for an AsyncSession.

    Pending changes are flushed on entry with the rights of the login, and at the end of the block
    with those of the tenant role. A transaction that begins inside the block is bound as well.
    Every `Task` that the session holds is expired on entry and at the end.
    """
    found = real_session(session)
    binding = _Binding(valid_owner(owner))
    if isinstance(found, AsyncSession):
        return _Awaiting(found, binding)
    return _blocking(found, binding)


class _Binding:
    """The binding of one with block, on the connection that the session has at the moment."""

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._connection: Connection
        self._before: Before
        self._outer: set[SessionTransaction]

    def enter(self, session: Session) -> None:
        self._bind(flushed_connection(session))
        self._outer = set(_savepoints(session))
        expire_tasks(session)
        event.listen(session, "after_begin", self._begun)
        event.listen(session, "after_soft_rollback", self._rolled_back)

    def leave(self, session: Session, failed: bool) -> None:
        try:
            if not failed:
                session.flush()
            self._end_savepoints(session, failed)
        except BaseException:
            failed = True
            raise
        finally:
            event.remove(session, "after_begin", self._begun)
            event.remove(session, "after_soft_rollback", self._rolled_back)
            expire_tasks(session)
            self._restore(failed)

    def _bind(self, connection: Connection) -> None:
        # The binding outlives the savepoint, which AUTOCOMMIT refuses.
        with translated(binding=True), connection.begin_nested():
            self._before = bind(connection, self._owner)
        self._connection = connection

    def _end_savepoints(self, session: Session, failed: bool) -> None:
        """Refuse a savepoint that outlives the block: its rollback would bind the owner again."""
        inner = [found for found in _savepoints(session) if found not in self._outer]
        for savepoint in inner:
            savepoint.rollback()
        if inner and not failed:
            raise SessionRefused("a savepoint that began inside the block has to end inside it")

    def _restore(self, failed: bool) -> None:
        if not self._in_transaction():
            return
        try:
            with translated():
                restore(self._connection, self._before)
        except TaskcoreError:
            # A transaction that has failed ends with a rollback, which undoes the binding too.
            if not failed:
                raise

    def _in_transaction(self) -> bool:
        connection = self._connection
        return not (connection.closed or connection.invalidated) and connection.in_transaction()

    def _begun(self, _: Session, begun: SessionTransaction, connection: Connection) -> None:
        """Bind a transaction that has begun inside the block, after a commit or a rollback."""
        if begun.nested or connection.engine is not self._connection.engine:
            return
        if connection is not self._connection:
            self._bind(connection)
        else:  # a connection that the caller gave the session: perhaps it is bound still
            before = self._before
            self._bind(connection)
            self._before = before

    def _rolled_back(self, _: Session, ended: SessionTransaction) -> None:
        """Bind again: the savepoint may be older than the binding."""
        if ended.nested and self._in_transaction():
            # If this fails, the transaction has failed, and no statement runs in it any more.
            with suppress(TaskcoreError), translated():
                bind(self._connection, self._owner)


def _savepoints(session: Session) -> Iterator[SessionTransaction]:
    """Yield the session's savepoints, the innermost first."""
    found = session.get_nested_transaction()
    while found is not None and found.nested:
        yield found
        found = found.parent


@contextmanager
def _blocking(session: Session, binding: _Binding) -> Iterator[None]:
    binding.enter(session)
    try:
        yield
    except BaseException:
        binding.leave(session, failed=True)
        raise
    binding.leave(session, failed=False)


class _Awaiting(AbstractAsyncContextManager[None]):
    """The same for an AsyncSession, whose `run_sync` does the waiting."""

    def __init__(self, session: AsyncSession, binding: _Binding) -> None:
        self._session = session
        self._binding = binding

    def __aenter__(self) -> Coroutine[Any, Any, None]:
        return self._session.run_sync(self._binding.enter)

    def __aexit__(self, kind: type[BaseException] | None, *_: object) -> Coroutine[Any, Any, None]:
        return self._session.run_sync(self._binding.leave, kind is not None)
