"""Every error of this package, as one tree that knows neither HTTP nor the database's messages.

    TaskcoreError
    ├── InvalidInput (ValueError)      an argument is wrong; nothing was sent to the database
    ├── OperationRefused               the operation found no row to work on, for this reason:
    │   ├── UnknownUser
    │   ├── NotTaskOwner
    │   ├── TaskNotFound
    │   └── StaleTask
    ├── DatabaseUnavailable            try again later; `outcome_unknown`: a write may have happened
    │   ├── NoConnection
    │   │   └── LoginRefused           the password, login or database of the URL is wrong
    │   ├── ConnectionLost
    │   ├── DeadlineExceeded
    │   └── DiskFull
    ├── DatabaseNotReady               the database is not set up for this version
    │   ├── SchemaMissing
    │   ├── TenantRoleMissing
    │   ├── TenantRoleRefused
    │   ├── PermissionMissing
    │   └── UntrustedObject
    ├── RowRefused                     row-level security stopped a row that the WHERE let pass
    ├── IsolationBroken                an answer was for another owner; nothing of it is returned
    ├── SessionRefused                 the caller's session cannot hold the tenant role
    ├── DatabaseClosed                 not open here: before open(), after close(), in another event
    │                                  loop than the one that opened it, or in a forked child
    ├── DatabaseFault                  a database error that no other class describes
    ├── SchemaError                    a migration or a check of the schema failed
    │   ├── UnknownRevision
    │   ├── SchemaLocked
    │   ├── UsersTableRefused
    │   ├── TenantRoleNotCreated
    │   └── MigrationFailed
    ├── NotPermitted                   the operator's login lacks a right
    ├── UsersNotOurs                   the users table belongs to another program
    └── EmbeddedUnavailable            the embedded PostgreSQL cannot be used here

A class's docstring is its default message. The driver's error is kept as `__cause__`.
"""

from __future__ import annotations

import inspect


class TaskcoreError(Exception):
    """Something went wrong in taskcore."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or inspect.getdoc(type(self)))


class InvalidInput(TaskcoreError, ValueError):
    """The input is not valid."""


class OperationRefused(TaskcoreError):
    """The operation found no task to work on."""


class UnknownUser(OperationRefused):
    """The user does not exist."""


class NotTaskOwner(OperationRefused):
    """The task belongs to another user."""


class TaskNotFound(OperationRefused):
    """The task does not exist."""


class StaleTask(OperationRefused):
    """The task has changed since it was read."""


class DatabaseUnavailable(TaskcoreError):
    """The database cannot be reached."""

    def __init__(self, message: str | None = None, *, outcome_unknown: bool = False) -> None:
        super().__init__(message)
        self.outcome_unknown = outcome_unknown


class NoConnection(DatabaseUnavailable):
    """No database connection could be had in time."""


class LoginRefused(NoConnection):
    """The database server does not let this login in."""


class ConnectionLost(DatabaseUnavailable):
    """The connection to the database was lost."""


class DeadlineExceeded(DatabaseUnavailable):
    """The database did not answer in time."""


class DiskFull(DatabaseUnavailable):
    """The database's disk is full; the transaction was rolled back."""


class DatabaseNotReady(TaskcoreError):
    """The database is not set up for this version of taskcore."""


class SchemaMissing(DatabaseNotReady):
    """A table, column or function is missing: run the migrations (taskcli migrate)."""


class TenantRoleMissing(DatabaseNotReady):
    """The role taskcore_tenant does not exist: run taskcli migrate (after a restore: repair)."""


class TenantRoleRefused(DatabaseNotReady):
    """The login may not take the role taskcore_tenant: run taskcli migrate --grant LOGIN."""


class PermissionMissing(DatabaseNotReady):
    """A GRANT to the role taskcore_tenant is missing: taskcli repair puts it back."""


class UntrustedObject(DatabaseNotReady):
    """An object in taskcore's name belongs to a login that is not trusted; it was not used."""


class RowRefused(TaskcoreError):
    """Row-level security refused a row of another user."""


class IsolationBroken(TaskcoreError):
    """The database's answer was for another owner: the connection is closed, the rows dropped."""


class SessionRefused(TaskcoreError):
    """The session has no usable transaction (AUTOCOMMIT, or one that failed) for the operation."""


class DatabaseClosed(TaskcoreError):
    """The database is not open: use it in a with block, or call open() first."""


class DatabaseFault(TaskcoreError):
    """The database refused a statement for a reason that is a bug."""


class SchemaError(TaskcoreError):
    """The schema could not be changed; nothing was."""


class UnknownRevision(SchemaError):
    """The database is at a revision that this version of taskcore does not know."""


class SchemaLocked(SchemaError):
    """A lock could not be taken in time; nothing was changed."""


class UsersTableRefused(SchemaError):
    """The users table cannot be adopted; nothing was changed."""


class TenantRoleNotCreated(SchemaError):
    """The login may not create the role taskcore_tenant."""


class MigrationFailed(SchemaError):
    """A migration failed and was rolled back; nothing was changed."""


class NotPermitted(TaskcoreError):
    """This login may not do that: use the one that owns the tasks (DATABASE_URL_UNPOOLED)."""


class UsersNotOurs(TaskcoreError):
    """The users belong to another program: let it add them (Better Auth: its sign-up)."""


class EmbeddedUnavailable(TaskcoreError):
    """Install taskcore[embedded], or set DATABASE_URL to a PostgreSQL of your own."""
