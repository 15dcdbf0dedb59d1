"""Where an SQLSTATE becomes an error of ours. The only place that knows what they mean."""

from __future__ import annotations

from .errors import (
    ConnectionLost,
    DatabaseFault,
    DatabaseUnavailable,
    DeadlineExceeded,
    RowRefused,
    SchemaMissing,
    SessionRefused,
    TaskcoreError,
    TenantRoleMissing,
    TenantRoleRefused,
    UnknownUser,
)

# What the statement that binds role and owner can fail with.
_BINDING: dict[str, type[TaskcoreError]] = {
    "22023": TenantRoleMissing,  # role "…" does not exist
    "42501": TenantRoleRefused,  # permission denied to set role
}
# What any statement can fail with. None of these says that something was written.
_STATEMENT: dict[str, type[TaskcoreError]] = {
    "23503": UnknownUser,  # tasks has one foreign key only
    "42501": RowRefused,
    "42P01": SchemaMissing,  # undefined table
    "42703": SchemaMissing,  # undefined column
    "42883": SchemaMissing,  # undefined function
    "3F000": SchemaMissing,  # undefined schema
    "25P01": SessionRefused,  # savepoint outside a transaction
    "25P02": SessionRefused,  # the transaction has failed before
    "57014": DeadlineExceeded,  # statement_timeout
    "55P03": DeadlineExceeded,  # lock_timeout
    "25P03": ConnectionLost,  # idle in transaction for too long
    "25006": DatabaseUnavailable,  # read-only: a standby, or a failover under way
    "40001": DatabaseUnavailable,  # serialization failure
    "40P01": DatabaseUnavailable,  # deadlock
}
# 08 connection, 53 resources, 57 operator intervention, 58 system error: not the statement's fault.
_UNAVAILABLE = {"08": ConnectionLost, "53": DatabaseUnavailable, "58": DatabaseUnavailable}


def error_for(sqlstate: str, *, binding: bool = False) -> TaskcoreError:
    """The error for a statement that the server refused, and so did not carry out."""
    if binding and sqlstate in _BINDING:
        return _BINDING[sqlstate]()
    if sqlstate in _STATEMENT:
        return _STATEMENT[sqlstate]()
    if sqlstate.startswith("57"):
        return ConnectionLost()
    return _UNAVAILABLE.get(sqlstate[:2], DatabaseFault)()
