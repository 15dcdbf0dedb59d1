"""Spread the tasks over the nodes of a Citus cluster, after the revisions; and whether they are."""

from __future__ import annotations

import sqlalchemy as sa

from taskcore.citus import DISTRIBUTE_TABLES, DISTRIBUTION, HAS_CITUS, LET_ROLE_LOG_IN
from taskcore.errors import SchemaError
from taskcore.tenancy import TENANT_ROLE

from .connection import Report, connect, set_local, silent
from .failures import translated
from .history import head
from .lock import holders_query, only_migration
from .state import current_revision, our_objects, refuse_unknown, role_lock_timeout, settings_for

# Seconds. The rows that are there are copied to the nodes, and no request can write meanwhile.
_LOCK_TIMEOUT = 5.0
_STATEMENT_TIMEOUT = 6 * 3600.0
_TURN_TIMEOUT = 120.0


def distribute(
    url: str,
    *,
    turn_timeout: float = _TURN_TIMEOUT,
    lock_timeout: float = _LOCK_TIMEOUT,
    statement_timeout: float = _STATEMENT_TIMEOUT,
    report: Report = silent,
) -> bool:
    """Spread the tasks where the extension citus is; return whether it is there.

    It changes only what is not done yet, so it may run after every upgrade. A server that was
    connected before has to be restarted: its connections bind the owner on one node only.
    """
    with only_migration(url, turn_timeout, report) as connection:
        if not _is_citus(connection):
            return False
        refuse_unknown(connection)
        if current_revision(connection) != head():
            raise SchemaError("the schema is not at its head: run the migrations first")
        waited = role_lock_timeout(lock_timeout)
        settings = settings_for("", lock_timeout, statement_timeout)
        with translated(connection, holders=holders_query(waited)), connection.begin():
            set_local(connection, {**settings, "lock_timeout": waited})
            connection.execute(sa.text(LET_ROLE_LOG_IN))
            our_objects(connection)
        holders = holders_query(settings["lock_timeout"])
        with translated(connection, holders=holders), connection.begin():
            set_local(connection, settings)
            connection.execute(sa.text(DISTRIBUTE_TABLES))
    return True


def is_distributed(url: str) -> bool | None:
    """Whether nothing is left to distribute; None where the extension citus is not there."""
    with connect(url) as connection:
        if not _is_citus(connection):
            return None
        with translated(connection), connection.begin():
            return not differences(connection)


def has_citus(connection: sa.Connection) -> bool:
    """Whether the extension is there, asked in the transaction that is open."""
    return bool(connection.scalar(sa.text(f"SELECT {HAS_CITUS}")))


def _is_citus(connection: sa.Connection) -> bool:
    with translated(connection), connection.begin():
        return has_citus(connection)


def differences(connection: sa.Connection) -> list[str]:
    """Return a sentence for each thing that is left, in the transaction that is open."""
    found = [
        f"table {row.name.removeprefix('public.')} is {row.found}, not {row.wanted}"
        for row in connection.execute(sa.text(DISTRIBUTION))
        if row.found != row.wanted
    ]
    may_log_in = connection.scalar(
        sa.text(f"SELECT rolcanlogin FROM pg_roles WHERE rolname = '{TENANT_ROLE}'")
    )
    if may_log_in is False:
        found.append(f"role {TENANT_ROLE} may not log in: the nodes connect as it")
    return found
