"""The errors of the database and of Alembic, as errors of ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import psycopg
import sqlalchemy as sa
from alembic.util.exc import CommandError
from sqlalchemy.exc import DBAPIError

from taskcore.errors import (
    ConnectionLost,
    MigrationFailed,
    SchemaError,
    SchemaLocked,
    TenantRoleNotCreated,
)
from taskcore.execution import sqlstates
from taskcore.tenancy import TENANT_ROLE


class RoleDropped(MigrationFailed):
    """Another database, which no longer needs the role, dropped it before its first use here."""


@contextmanager
def translated(
    connection: sa.Connection,
    refusal: type[SchemaError] = MigrationFailed,
    *,
    holders: sa.TextClause | None = None,
) -> Iterator[None]:
    """Raise errors of ours; `refusal` is what a script of ours refuses with.

    `holders` asks which processes hold a lock that could not be taken in time.
    """
    try:
        yield
    except DBAPIError as error:
        _raise(connection, error, refusal, holders)
    except CommandError as error:
        raise SchemaError(f"there is no way to that revision: {error}") from error


def refusal_of(error: DBAPIError) -> str | None:
    """Say why the server refused one statement; None if the whole run has to end with it."""
    sqlstate = getattr(error.orig, "sqlstate", None)
    if sqlstates.session_has_ended(sqlstate) or sqlstates.is_lock_timeout(sqlstate):
        return None
    if sqlstates.is_refusal_of_our_script(sqlstate) and isinstance(error.orig, psycopg.Error):
        return error.orig.diag.message_primary
    return sqlstates.migration_reason(str(sqlstate))


def _raise(
    connection: sa.Connection,
    error: DBAPIError,
    refusal: type[SchemaError],
    holders: sa.TextClause | None,
) -> NoReturn:
    cause = error.orig
    sqlstate = getattr(cause, "sqlstate", None)
    if sqlstate is None or sqlstates.session_has_ended(sqlstate):
        raise ConnectionLost(
            "the connection was lost; a migration that had not ended was rolled back"
        ) from error
    if sqlstates.is_refusal_of_our_script(sqlstate) and isinstance(cause, psycopg.Error):
        raise refusal(f"{cause.diag.message_primary}; nothing was changed") from error
    if sqlstates.is_permission_denied(sqlstate) and refusal is TenantRoleNotCreated:
        raise TenantRoleNotCreated(_role_for_the_dba(connection)) from error
    if sqlstates.is_lock_timeout(sqlstate):
        raise SchemaLocked(_locked(connection, holders)) from error
    if sqlstates.is_undefined_object(sqlstate) and TENANT_ROLE in str(cause):
        raise RoleDropped(f"the role {TENANT_ROLE} is gone; nothing was changed") from error
    raise MigrationFailed(f"{sqlstates.migration_reason(sqlstate)}; nothing was changed") from error


def _role_for_the_dba(connection: sa.Connection) -> str:
    with connection.begin():
        login = connection.scalar(sa.text("SELECT quote_ident(session_user)"))
    return (
        f"the login may not create the role {TENANT_ROLE}; a DBA has to run: "
        f"CREATE ROLE {TENANT_ROLE} NOLOGIN NOINHERIT; GRANT {TENANT_ROLE} TO {login};"
    )


def _locked(connection: sa.Connection, holders: sa.TextClause | None) -> str:
    pids: list[int] = []
    if holders is not None:
        with connection.begin():
            pids = list(connection.scalars(holders))
    held = f" (locks there are held by process {', '.join(map(str, pids))})" if pids else ""
    return (
        f"a lock on the tasks or the users table could not be taken in time{held}; "
        "nothing was changed"
    )
