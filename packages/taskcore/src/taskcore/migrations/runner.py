"""Runs migrations: upgrade, downgrade, adopt_users, check, repair, current, sql for a script."""

from __future__ import annotations

import io
import threading
from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from taskcore import ownership
from taskcore.errors import SchemaError, TenantRoleNotCreated, UsersTableRefused
from taskcore.models import SCHEMA
from taskcore.tenancy import (
    ADOPT_USERS,
    CREATE_ROLE,
    DROP_ROLE,
    MAKE_VERSION_TABLE,
    OUR_OBJECTS,
    SEARCH_PATH,
    TENANT_ROLE,
    USERS_TABLE_SETTING,
    reason_function_sql,
)

from . import drift, repairs
from .connection import Report, connect, literal, set_local, silent
from .failures import RoleDropped, translated
from .history import configuration, head
from .lock import holders_query, only_migration
from .state import (
    QUALIFIED_VERSION_TABLE,
    current_revision,
    our_objects,
    refuse_unknown,
    role_lock_timeout,
    settings_for,
)

# Alembic's `op` and `context` belong to the process: two threads would mix them up.
_ALEMBIC = threading.Lock()
# Seconds. Queries queue behind a waiting migration, so this stays below the deadline of a request;
# it is above 1 s because autovacuum yields only after deadlock_timeout.
_LOCK_TIMEOUT = 1.25
_TURN_TIMEOUT = 120.0
_STATEMENT_TIMEOUT = 600.0


def current(url: str) -> str | None:
    """Return the revision that the database is at; None before the first."""
    with connect(url) as connection:
        return current_revision(connection)


def upgrade(
    url: str,
    to: str = "head",
    *,
    users_table: str | None = None,
    turn_timeout: float = _TURN_TIMEOUT,
    lock_timeout: float = _LOCK_TIMEOUT,
    statement_timeout: float = _STATEMENT_TIMEOUT,
    report: Report = silent,
) -> None:
    """Bring the database to a revision, in one transaction.

    `users_table` is the table to adopt (`schema.table`, or `none`); left out, it is what the
    variable TASKCORE_USERS_TABLE says, and else the one that is found. Times are in seconds:
    `turn_timeout` is the wait for other migrations of this database, `lock_timeout` the wait for
    each lock.
    """
    with only_migration(url, turn_timeout, report) as connection:
        refuse_unknown(connection)
        settings = settings_for(users_table, lock_timeout, statement_timeout)
        for attempts_left in (2, 1, 0):
            try:
                _upgrade(connection, to, settings, lock_timeout, report)
                break
            except RoleDropped:
                if not attempts_left:
                    raise


def _upgrade(
    connection: sa.Connection,
    to: str,
    settings: Mapping[str, str],
    lock_timeout: float,
    report: Report,
) -> None:
    # A transaction of its own: other databases of the cluster may be waiting for the role.
    waited = role_lock_timeout(lock_timeout)
    holders = holders_query(waited)
    with translated(connection, TenantRoleNotCreated, holders=holders), connection.begin():
        set_local(connection, {**settings, "lock_timeout": waited})
        connection.execute(sa.text(CREATE_ROLE))
    holders = holders_query(settings["lock_timeout"])
    with translated(connection, UsersTableRefused, holders=holders), connection.begin():
        set_local(connection, settings)
        if QUALIFIED_VERSION_TABLE not in our_objects(connection):
            connection.execute(sa.text(MAKE_VERSION_TABLE))
        with _ALEMBIC:
            command.upgrade(_alembic(connection, report), to)
        # A function that another login made meanwhile was replaced, and still belongs to it.
        our_objects(connection)


def downgrade(
    url: str,
    to: str = "-1",
    *,
    turn_timeout: float = _TURN_TIMEOUT,
    lock_timeout: float = _LOCK_TIMEOUT,
    statement_timeout: float = _STATEMENT_TIMEOUT,
    report: Report = silent,
) -> None:
    """Take revisions back: one, or down to `to` (`base` removes the tasks)."""
    with only_migration(url, turn_timeout, report) as connection:
        refuse_unknown(connection)
        settings = settings_for("", lock_timeout, statement_timeout)
        holders = holders_query(settings["lock_timeout"])
        with translated(connection, holders=holders), connection.begin():
            set_local(connection, settings)
            our_objects(connection)
            with _ALEMBIC:
                command.downgrade(_alembic(connection, report), to)
        if current_revision(connection) is None:
            waited = role_lock_timeout(lock_timeout)
            with translated(connection, holders=holders_query(waited)), connection.begin():
                set_local(connection, {"lock_timeout": waited})
                connection.execute(sa.text(DROP_ROLE))


def adopt_users(
    url: str, table: str, *, lock_timeout: float = _LOCK_TIMEOUT, report: Report = silent
) -> None:
    """Point the tasks at another users table, in one transaction; `none` for no table at all."""
    with only_migration(url, _TURN_TIMEOUT, report) as connection:
        refuse_unknown(connection)
        if current_revision(connection) != head():
            raise SchemaError("the schema is not at its head: run the migrations first")
        settings = settings_for(table, lock_timeout, _STATEMENT_TIMEOUT)
        holders = holders_query(settings["lock_timeout"])
        with translated(connection, UsersTableRefused, holders=holders), connection.begin():
            set_local(connection, settings)
            connection.execute(sa.text(ADOPT_USERS))
            connection.execute(sa.text(reason_function_sql(SCHEMA)))
            our_objects(connection)


def check(url: str) -> list[str]:
    """Return what differs between this code and the database, in words; empty if nothing does."""
    with connect(url) as connection:
        with translated(connection), connection.begin():
            # The rest reads the catalogue only, except for the version table.
            found = ownership.untrusted(connection.execute(sa.text(OUR_OBJECTS)))
        if found:
            with translated(connection):
                return found + drift.differences(connection)
        refuse_unknown(connection)
        at = current_revision(connection)
        behind = [] if at == head() else [f"the schema is at {at or 'nothing'}, not at {head()}"]
        with translated(connection):
            return behind + drift.differences(connection)


def repair(
    url: str,
    *,
    dry_run: bool = False,
    turn_timeout: float = _TURN_TIMEOUT,
    lock_timeout: float = _LOCK_TIMEOUT,
    statement_timeout: float = _STATEMENT_TIMEOUT,
    report: Report = silent,
) -> repairs.Repair:
    """Put back what `check` names, where that touches no row; drop nothing that is unexpected.

    The role comes first, in a transaction of its own, and everything else follows in one. With
    `dry_run` both are tried in one transaction, which is rolled back.
    """
    with only_migration(url, turn_timeout, report) as connection:
        refuse_unknown(connection)
        at = current_revision(connection)
        if at != head():
            raise SchemaError(
                f"the schema is at {at or 'nothing'}, not at {head()}: run the migrations first"
            )
        settings = settings_for(None, lock_timeout, statement_timeout)
        waited = role_lock_timeout(lock_timeout)
        holders = holders_query(settings["lock_timeout"] if dry_run else waited)
        with translated(connection, TenantRoleNotCreated, holders=holders), connection.begin() as t:
            set_local(connection, {**settings, "lock_timeout": waited})
            role_made, for_role = repairs.role(connection)
            if dry_run:
                done = _repair_rest(connection, settings)
                t.rollback()
        if not dry_run:
            holders = holders_query(settings["lock_timeout"])
            with translated(connection, holders=holders), connection.begin():
                done = _repair_rest(connection, settings)
        return done._replace(
            role_made=role_made,
            repaired=[*([f"role {TENANT_ROLE}"] if for_role else []), *done.repaired],
            sql=_transaction(for_role, waited) + _transaction(done.sql, settings["lock_timeout"]),
        )


def _repair_rest(connection: sa.Connection, settings: Mapping[str, str]) -> repairs.Repair:
    set_local(connection, settings)
    done = repairs.rest(connection, settings[USERS_TABLE_SETTING])
    # A function that another login made meanwhile was replaced, and still belongs to it.
    our_objects(connection)
    return done


def _transaction(statements: Sequence[str], lock_timeout: str) -> list[str]:
    """Return a script that runs these statements as a migration does."""
    if not statements:
        return []
    begin = [f"SET LOCAL search_path = {SEARCH_PATH}", f"SET LOCAL lock_timeout = '{lock_timeout}'"]
    return ["BEGIN", *begin, *(it.strip().rstrip(";") for it in statements), "COMMIT"]


def sql(to: str = "head", *, users_table: str | None = None) -> str:
    """Return the upgrade from nothing as a psql script; it finds the users table when it runs."""
    config = _alembic(None, silent)
    config.output_buffer = io.StringIO()
    config.attributes["distribute"] = to in ("head", head())
    config.attributes["settings"] = [
        f"SET LOCAL search_path = {SEARCH_PATH}",
        *(
            f"SET LOCAL {name} = {literal(value)}"
            for name, value in settings_for(users_table, _LOCK_TIMEOUT, _STATEMENT_TIMEOUT).items()
        ),
    ]
    with _ALEMBIC:
        command.upgrade(config, to, sql=True)
    return config.output_buffer.getvalue()


def _alembic(connection: sa.Connection | None, report: Report) -> Config:
    config = configuration()
    started = perf_counter()

    def applied(*, step: Any, **_: object) -> None:
        nonlocal started
        arrow = "up to" if step.is_upgrade else "down from"
        report(f"{arrow} {step.up_revision_id}: {perf_counter() - started:.2f} s")
        started = perf_counter()

    config.attributes.update(connection=connection, on_version_apply=applied)
    return config
