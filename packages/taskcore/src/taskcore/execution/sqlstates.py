"""The only place that reads SQLSTATEs: what each of them means for us.

Codes are compared and never messages, which PostgreSQL translates. Where one code has two meanings,
the name of the server's source function, which is not translated, tells them apart.
"""

from __future__ import annotations

from taskcore.errors import (
    ConnectionLost,
    DatabaseFault,
    DatabaseUnavailable,
    DeadlineExceeded,
    DiskFull,
    InvalidInput,
    NotPermitted,
    PermissionMissing,
    RowRefused,
    SchemaMissing,
    SessionRefused,
    TaskcoreError,
    TenantRoleMissing,
    TenantRoleRefused,
    UnknownUser,
    UntrustedObject,
)
from taskcore.tenancy import REFUSED_SQLSTATE

# What the statement that binds role and owner can fail with.
_BINDING: dict[str, type[TaskcoreError]] = {
    "22023": TenantRoleMissing,  # role "…" does not exist
    "42501": TenantRoleRefused,  # permission denied to set role
}
# What any statement can fail with. None of these says that something was written.
_STATEMENT: dict[str, type[TaskcoreError]] = {
    "23503": UnknownUser,  # tasks has one foreign key only
    "42501": PermissionMissing,  # permission denied for a table, column or function
    "42P01": SchemaMissing,  # undefined table
    "42703": SchemaMissing,  # undefined column
    "42883": SchemaMissing,  # undefined function
    "3F000": SchemaMissing,  # undefined schema
    "42725": UntrustedObject,  # ambiguous function: another one beside ours fits as well
    "25P01": SessionRefused,  # savepoint outside a transaction
    "25P02": SessionRefused,  # the transaction has failed before
    "57014": DeadlineExceeded,  # statement_timeout
    "55P03": DeadlineExceeded,  # lock_timeout
    "25P03": ConnectionLost,  # idle in transaction for too long
    "25006": DatabaseUnavailable,  # read-only: a standby, or a failover under way
    "40001": DatabaseUnavailable,  # serialization failure
    "40P01": DatabaseUnavailable,  # deadlock
}
# 08 connection, 53 resources, 58 system error: not the statement's fault.
_UNAVAILABLE = {"08": ConnectionLost, "53": DatabaseUnavailable, "58": DatabaseUnavailable}

_PERMISSION_DENIED = "42501"
# The server's function that raises 42501 for a row that a policy's WITH CHECK refuses.
_POLICY_CHECK = "ExecWithCheckOptions"
# What Citus says to the tenant role of rows that the caller's login has changed in the transaction.
_CHANGED_BY_ANOTHER_ROLE = "25001"
_READ_ONLY = "25006"
_DISK_FULL = {"53100", "58030"}
# A prepared statement that a migration made invalid: the code, and the server's function that
# raises it then. Everything that the server does not support has the same code.
_NOT_SUPPORTED = "0A000"
_PLAN_CHECK = "RevalidateCachedQuery"
# A prepared statement that is there already, or is not: other clients use the server's connection.
_SHARED = {"42P05", "26000"}
# The server ended the session: an administrator, a crash, a shutdown, a timeout of idle sessions.
_ENDED = {"57P01", "57P02", "57P03", "57P05", "25P03", "25P04"}
# The messages of class 22 quote the value, and a trigger's own (P0) may quote anything.
_QUOTING = ("22", "P0")


def error_for(
    sqlstate: str, *, source_function: str | None = None, binding: bool = False
) -> TaskcoreError:
    """Return the error for a statement of an operation that the server did not carry out."""
    if binding and sqlstate in _BINDING:
        return _BINDING[sqlstate]()
    if sqlstate == _PERMISSION_DENIED and source_function == _POLICY_CHECK:
        return RowRefused()
    if sqlstate == _CHANGED_BY_ANOTHER_ROLE:
        return SessionRefused(
            "this transaction has changed the same rows with another role, and nodes of a cluster "
            "do not show those: commit before the operation, or change tasks by operations only"
        )
    if sqlstate in _STATEMENT:
        return _STATEMENT[sqlstate]()
    if sqlstate.startswith("57"):
        return ConnectionLost()
    return _UNAVAILABLE.get(sqlstate[:2], DatabaseFault)()


def is_invalidated_statement(sqlstate: str, source_function: str) -> bool:
    """Whether a prepared statement did not run, and will run on a new connection."""
    return sqlstate == _NOT_SUPPORTED and source_function == _PLAN_CHECK


def is_shared_statement(sqlstate: str) -> bool:
    """Whether a statement did not run because another client prepared it, or removed it."""
    return sqlstate in _SHARED


def is_read_only(sqlstate: str) -> bool:
    """Whether the server takes no writes: a new connection may find the one that does."""
    return sqlstate == _READ_ONLY


def message_may_quote_values(sqlstate: str) -> bool:
    """Whether even the primary message of the error may contain what a user wrote."""
    return sqlstate.startswith(_QUOTING)


# --- operators ------------------------------------------------------------------------------------


def admin_error_for(sqlstate: str, message: str | None) -> TaskcoreError:
    """Return the error for a statement of an operator's session."""
    if sqlstate == _PERMISSION_DENIED:
        return NotPermitted()
    if _STATEMENT.get(sqlstate) is SchemaMissing:
        return SchemaMissing()
    if sqlstate in _DISK_FULL:
        return DiskFull()
    if sqlstate == _READ_ONLY:
        return DatabaseUnavailable("the database is read-only right now; nothing was changed")
    if sqlstate[:2] in ("22", "23"):
        return InvalidInput(f"the database does not take this: {message}")
    if sqlstate[:2] in ("08", "57"):
        return ConnectionLost("the server ended the connection; the transaction was rolled back")
    return DatabaseFault()


# --- migrations -----------------------------------------------------------------------------------

_MIGRATION_REASONS = {
    "42501": "the login may not do this: use the owner of the schema and of the tasks",
    "42P07": "a table or an index that the migration makes exists already, and is not ours",
    "53100": "the database's disk is full",
    "58030": "the database's disk is full or broken",
    "40P01": "it and other work on the tasks waited for each other: run it again",
    "57014": "a statement took longer than it may",
    "25006": "the database is read-only, perhaps a standby",
    "23502": "rows that are there contradict it",
    "23505": "rows that are there contradict it",
    "2BP01": "an object of another program depends on what the migration removes",
}


def migration_reason(sqlstate: str) -> str:
    """Say why the server refused a statement of a migration."""
    return _MIGRATION_REASONS.get(sqlstate, f"the database refused a statement ({sqlstate})")


def session_has_ended(sqlstate: str | None) -> bool:
    """Whether the connection is gone; without an SQLSTATE the server did not answer at all."""
    return sqlstate is None or sqlstate in _ENDED


def is_refusal_of_our_script(sqlstate: str | None) -> bool:
    """Whether a script of ours raised it: its message is ours, and may be shown."""
    return sqlstate == REFUSED_SQLSTATE


def is_permission_denied(sqlstate: str | None) -> bool:
    return sqlstate == _PERMISSION_DENIED


def is_lock_timeout(sqlstate: str | None) -> bool:
    return sqlstate == "55P03"


def is_undefined_object(sqlstate: str | None) -> bool:
    """Whether a role, among others, does not exist."""
    return sqlstate == "42704"
