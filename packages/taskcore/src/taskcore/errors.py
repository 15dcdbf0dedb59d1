"""Everything that can go wrong, as one tree without HTTP and without database text.

    TaskcoreError
    ├── InvalidInput (ValueError)      the caller's fault, said before anything is sent
    ├── TaskMissed                     the operation hit no row, and this is why
    │   ├── UnknownUser
    │   ├── NotTaskOwner
    │   ├── TaskNotFound
    │   └── StaleTask
    ├── DatabaseUnavailable            try again later; `outcome_unknown`: a write may have happened
    │   ├── NoConnection
    │   ├── ConnectionLost
    │   └── DeadlineExceeded
    ├── DatabaseNotReady               the database is not set up for this code
    │   ├── SchemaMissing
    │   ├── TenantRoleMissing
    │   └── TenantRoleRefused
    ├── RowRefused                     row-level security stopped a row that the predicate let pass
    ├── SessionRefused                 the caller's session can't hold the lock
    ├── DatabaseClosed                 run before open, or after close
    ├── DatabaseFault                  a database error that nobody foresaw
    └── SchemaError                    what migrations say
        ├── UnknownRevision
        ├── SchemaLocked
        ├── UsersTableRefused
        ├── TenantRoleNotCreated
        └── MigrationFailed

A class's docstring is its default message. The driver's error stays behind as `__cause__`.
"""

from __future__ import annotations

import inspect


class TaskcoreError(Exception):
    """Something went wrong in taskcore."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or inspect.getdoc(type(self)))


class InvalidInput(TaskcoreError, ValueError):
    """The input is not valid."""


class TaskMissed(TaskcoreError):
    """The operation hit no task."""


class UnknownUser(TaskMissed):
    """The user does not exist."""


class NotTaskOwner(TaskMissed):
    """The task belongs to another user."""


class TaskNotFound(TaskMissed):
    """The task does not exist."""


class StaleTask(TaskMissed):
    """The task has changed since it was read."""


class DatabaseUnavailable(TaskcoreError):
    """The database cannot be reached."""

    def __init__(self, message: str | None = None, *, outcome_unknown: bool = False) -> None:
        super().__init__(message)
        self.outcome_unknown = outcome_unknown


class NoConnection(DatabaseUnavailable):
    """No database connection could be had in time."""


class ConnectionLost(DatabaseUnavailable):
    """The connection to the database was lost."""


class DeadlineExceeded(DatabaseUnavailable):
    """The database did not answer in time."""


class DatabaseNotReady(TaskcoreError):
    """The database is not set up for this version of taskcore."""


class SchemaMissing(DatabaseNotReady):
    """A table, column or function is missing: run the migrations (taskcli migrate)."""


class TenantRoleMissing(DatabaseNotReady):
    """The role taskcore_tenant does not exist: run the migrations (taskcli migrate)."""


class TenantRoleRefused(DatabaseNotReady):
    """The login may not take the role taskcore_tenant: run taskcli migrate --grant LOGIN."""


class RowRefused(TaskcoreError):
    """Row-level security refused a row of another user."""


class SessionRefused(TaskcoreError):
    """The session has no sound transaction (AUTOCOMMIT, or one that failed) to hold the lock."""


class DatabaseClosed(TaskcoreError):
    """The database is not open: use it in a with block, or call open() first."""


class DatabaseFault(TaskcoreError):
    """The database refused a statement for a reason that is a bug."""


class SchemaError(TaskcoreError):
    """The schema could not be changed; nothing was."""


class UnknownRevision(SchemaError):
    """The database is at a revision that this version of taskcore does not know."""


class SchemaLocked(SchemaError):
    """A lock was not to be had in time; nothing was changed."""


class UsersTableRefused(SchemaError):
    """The users table cannot be adopted; nothing was changed."""


class TenantRoleNotCreated(SchemaError):
    """The login may not create the role taskcore_tenant."""


class MigrationFailed(SchemaError):
    """A migration failed and was rolled back; nothing was changed."""
