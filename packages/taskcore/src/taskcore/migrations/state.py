"""What every migration asks of the database first, and the settings of its transactions."""

from __future__ import annotations

import os

import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext

from taskcore import ownership
from taskcore.citus import SEQUENTIAL
from taskcore.errors import UnknownRevision
from taskcore.models import SCHEMA
from taskcore.tenancy import OUR_OBJECTS, USERS_TABLE_SETTING, VERSION_TABLE

from .failures import translated
from .history import is_known

USERS_TABLE_VARIABLE = "TASKCORE_USERS_TABLE"
QUALIFIED_VERSION_TABLE = f"{SCHEMA}.{VERSION_TABLE}"

# Seconds, for locks on the role, behind which no request waits.
_ROLE_LOCK_TIMEOUT = 5.0


def current_revision(connection: sa.Connection) -> str | None:
    with translated(connection), connection.begin():
        if QUALIFIED_VERSION_TABLE not in our_objects(connection):
            return None
        options = {"version_table": VERSION_TABLE, "version_table_schema": SCHEMA}
        return MigrationContext.configure(connection, opts=options).get_current_revision()


def our_objects(connection: sa.Connection) -> set[str]:
    """Return the names of our objects; UntrustedObject if one must not be used."""
    return ownership.names_of_trusted(connection.execute(sa.text(OUR_OBJECTS)))


def refuse_unknown(connection: sa.Connection) -> None:
    at = current_revision(connection)
    if at is not None and not is_known(at):
        raise UnknownRevision(
            f"the database is at revision {at}, which this taskcore does not know: "
            "use the version that brought it there, or a newer one"
        )


def settings_for(
    users_table: str | None, lock_timeout: float, statement_timeout: float
) -> dict[str, str]:
    """Return the settings that hold for one transaction of a migration."""
    wanted = os.environ.get(USERS_TABLE_VARIABLE, "") if users_table is None else users_table
    return {
        "lock_timeout": f"{lock_timeout}s",
        "statement_timeout": f"{statement_timeout}s",
        USERS_TABLE_SETTING: wanted,
        SEQUENTIAL: "sequential",
    }


def role_lock_timeout(lock_timeout: float) -> str:
    return f"{max(lock_timeout, _ROLE_LOCK_TIMEOUT)}s"
