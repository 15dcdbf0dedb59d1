"""The schema's history and its state: upgrade, downgrade, current, head, check, sql.

Alembic, configured in code. All of it runs on the direct URL with the owner's login, because the
lock that keeps two migrations apart belongs to a session, which a transaction pooler does not give.
"""

from __future__ import annotations

import hashlib
import io
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter
from typing import Any, NoReturn

import psycopg
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy.exc import DBAPIError

from . import drift
from .errors import (
    ConnectionLost,
    MigrationFailed,
    NoConnection,
    SchemaError,
    SchemaLocked,
    TaskcoreError,
    TenantRoleNotCreated,
    UnknownRevision,
    UsersTableRefused,
)
from .migrations.role import CREATE_ROLE, DROP_ROLE, REFUSED
from .migrations.users_table import ADOPT_USERS
from .migrations.versions.r0002_tenant_lock import WHY_MISSED
from .models import SCHEMA
from .urls import direct, libpq_conninfo
from .wire import TENANT_ROLE

VERSION_TABLE = "taskcore_version"
USERS_TABLE_VARIABLE = "TASKCORE_USERS_TABLE"

# Alembic's `op` and `context` belong to the process: in two threads at once they would be mixed up.
_ALEMBIC = threading.Lock()
# What asks for the tasks waits behind a migration that asks for them: so much must pass unnoticed,
# less than a request, or the question whether a server is ready, may take; and more than a second,
# after which PostgreSQL's own vacuum gives way.
_LOCK_TIMEOUT = 1.25
# For the role's own locks, behind which no request waits.
_ROLE_LOCK_TIMEOUT = 5.0
_LOCK = int.from_bytes(hashlib.sha256(b"taskcore migrations").digest()[:8], "big", signed=True)

Report = Callable[[str], None]


def _silent(_: str) -> None:
    """Report to nobody."""


def head() -> str:
    """The revision that this code is written for."""
    return _scripts().get_heads()[0]


def older_revisions() -> frozenset[str]:
    """The revisions that are behind this code."""
    return frozenset(script.revision for script in _scripts().walk_revisions()) - {head()}


def history() -> list[tuple[str, str]]:
    """Every revision with what it does, in the order in which they are applied."""
    return [(script.revision, script.doc) for script in _scripts().walk_revisions()][::-1]


def current(url: str) -> str | None:
    """The revision that the database is at; None before the first."""
    with _connection(url) as connection:
        return _current(connection)


def upgrade(
    url: str,
    to: str = "head",
    *,
    users_table: str | None = None,
    turn_timeout: float = 120,
    lock_timeout: float = _LOCK_TIMEOUT,
    statement_timeout: float = 600,
    report: Report = _silent,
) -> None:
    """Bring the database to a revision, in one transaction.

    `users_table` is the table to adopt (`schema.table`, or `none`); left out, it is what the
    variable TASKCORE_USERS_TABLE says, and else what is found. Times are in seconds:
    `turn_timeout` for other migrations of this database to end, `lock_timeout` for each lock.
    """
    with _turn(url, turn_timeout, report) as connection:
        _refuse_unknown(connection)
        settings = _preamble(users_table, lock_timeout, statement_timeout)
        for attempts_left in (2, 1, 0):
            try:
                _upgrade(connection, to, settings, lock_timeout, report)
                break
            except _RoleVanished:
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
    with _translated(connection, TenantRoleNotCreated), connection.begin():
        _set(connection, {**settings, "lock_timeout": _for_the_role(lock_timeout)})
        connection.execute(sa.text(CREATE_ROLE))
    with _translated(connection, UsersTableRefused), connection.begin():
        _set(connection, settings)
        with _ALEMBIC:
            command.upgrade(_config(connection, report), to)


class _RoleVanished(MigrationFailed):
    """Another database, which needs the role no longer, dropped it before its first use here."""


def downgrade(
    url: str,
    to: str = "-1",
    *,
    turn_timeout: float = 120,
    lock_timeout: float = _LOCK_TIMEOUT,
    statement_timeout: float = 600,
    report: Report = _silent,
) -> None:
    """Take revisions back: one, or down to `to` (`base` takes the tasks away)."""
    with _turn(url, turn_timeout, report) as connection:
        _refuse_unknown(connection)
        with _translated(connection), connection.begin():
            _set(connection, _preamble("", lock_timeout, statement_timeout))
            with _ALEMBIC:
                command.downgrade(_config(connection, report), to)
        if _current(connection) is None:
            with _translated(connection), connection.begin():
                _set(connection, {"lock_timeout": _for_the_role(lock_timeout)})
                connection.execute(sa.text(DROP_ROLE))


def adopt_users(
    url: str, table: str, *, lock_timeout: float = _LOCK_TIMEOUT, report: Report = _silent
) -> None:
    """Point the tasks at another users table, in one transaction; `none` for no table at all."""
    with _turn(url, 120, report) as connection:
        _refuse_unknown(connection)
        if _current(connection) != head():
            raise SchemaError("the schema is not at its head: run the migrations first")
        with _translated(connection, UsersTableRefused), connection.begin():
            _set(connection, _preamble(table, lock_timeout, 600))
            connection.execute(sa.text(ADOPT_USERS))
            connection.execute(sa.text(WHY_MISSED.format(schema=SCHEMA)))


def check(url: str) -> list[str]:
    """What differs between this code and the database, in words; empty if nothing does."""
    with _connection(url) as connection:
        _refuse_unknown(connection)
        at = _current(connection)
        behind = [] if at == head() else [f"the schema is at {at or 'nothing'}, not at {head()}"]
        with _translated(connection):
            return behind + drift.differences(connection)


def sql(to: str = "head", *, users_table: str | None = None) -> str:
    """The upgrade from nothing as a script for psql; it chooses the users table when it runs."""
    config = _config(None, _silent)
    config.output_buffer = io.StringIO()
    config.attributes["preamble"] = [
        f"SET LOCAL {name} = {_literal(value)}"
        for name, value in _preamble(users_table, _LOCK_TIMEOUT, 600).items()
    ]
    with _ALEMBIC:
        command.upgrade(config, to, sql=True)
    return config.output_buffer.getvalue()


# --- Alembic --------------------------------------------------------------------------------------


def _config(connection: sa.Connection | None, report: Report) -> Config:
    config = Config()
    config.set_main_option("script_location", "taskcore:migrations")
    started = perf_counter()

    def applied(*, step: Any, **_: object) -> None:
        nonlocal started
        arrow = "up to" if step.is_upgrade else "down from"
        report(f"{arrow} {step.up_revision_id}: {perf_counter() - started:.2f} s")
        started = perf_counter()

    config.attributes.update(
        connection=connection, version_table=VERSION_TABLE, on_version_apply=applied
    )
    return config


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config(None, _silent))


def _current(connection: sa.Connection) -> str | None:
    with _translated(connection), connection.begin():
        options = {"version_table": VERSION_TABLE, "version_table_schema": SCHEMA}
        return MigrationContext.configure(connection, opts=options).get_current_revision()


def _refuse_unknown(connection: sa.Connection) -> None:
    at = _current(connection)
    if at not in {None, head(), *older_revisions()}:
        raise UnknownRevision(
            f"the database is at revision {at}, which this taskcore does not know: "
            "use the version that brought it there, or a newer one"
        )


def _preamble(
    users_table: str | None, lock_timeout: float, statement_timeout: float
) -> dict[str, str]:
    """The settings that hold for one transaction of a migration."""
    wish = os.environ.get(USERS_TABLE_VARIABLE, "") if users_table is None else users_table
    return {
        "search_path": SCHEMA,
        "lock_timeout": f"{lock_timeout}s",
        "statement_timeout": f"{statement_timeout}s",
        "taskcore.users_table": wish,
    }


def _for_the_role(lock_timeout: float) -> str:
    return f"{max(lock_timeout, _ROLE_LOCK_TIMEOUT)}s"


def _literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


# --- the connection -------------------------------------------------------------------------------


@contextmanager
def _connection(url: str, report: Report = _silent) -> Iterator[sa.Connection]:
    conninfo = direct(libpq_conninfo(url))

    def connect() -> psycopg.Connection[Any]:
        connection = psycopg.connect(conninfo, client_encoding="utf-8", prepare_threshold=None)
        connection.add_notice_handler(lambda notice: report(notice.message_primary or ""))
        return connection

    engine = sa.create_engine("postgresql+psycopg://", creator=connect, poolclass=sa.NullPool)
    try:
        connection = engine.connect()
    except DBAPIError as error:
        raise NoConnection(
            "the database cannot be reached, or does not let this login in"
        ) from error
    with connection:
        yield connection


@contextmanager
def _turn(url: str, timeout: float, report: Report) -> Iterator[sa.Connection]:
    """A connection that alone migrates this database: the others wait for their turn."""
    with _connection(url, report) as connection:
        with _translated(connection), connection.begin():
            _set(connection, {"lock_timeout": f"{timeout}s"})
            connection.execute(sa.select(sa.func.pg_advisory_lock(_LOCK)))
        # The lock goes with the session, however that ends.
        yield connection


_WAITED = "taskcore.lock_timeout"


def _set(connection: sa.Connection, settings: Mapping[str, str]) -> None:
    for name, value in settings.items():
        connection.execute(sa.select(sa.func.set_config(name, value, True)))
    connection.info[_WAITED] = settings["lock_timeout"]


# --- what goes wrong ------------------------------------------------------------------------------

# The server ended the session: an administrator, a crash, a shutdown, an idle session's timeout.
_ENDED = {"57P01", "57P02", "57P03", "57P05", "25P03", "25P04"}
_REASONS = {
    "42501": "the login may not do this: use the owner of the schema and of the tasks",
    "42P07": "a table or an index that the migration makes is there already, made by others",
    "53100": "the database's disk is full",
    "58030": "the database's disk is full or broken",
    "40P01": "it and other work on the tasks waited for each other: run it again",
    "57014": "a statement took longer than it may",
    "25006": "the database is read-only, a standby perhaps",
    "2BP01": "something that others made depends on what the migration takes away",
}
# Other databases of the cluster may have locks of the same numbers. Who waited behind us, and went
# on when we gave up, holds locks too, but has begun later; not everybody may see when that was.
_HOLDERS = """
SELECT DISTINCT l.pid
  FROM pg_catalog.pg_locks l
  JOIN pg_catalog.pg_database d ON d.oid = l.database AND d.datname = current_database()
  JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
 WHERE l.granted AND l.pid <> pg_catalog.pg_backend_pid()
   AND (l.relation IN (SELECT to_regclass('public.tasks') UNION ALL
                       SELECT to_regclass('public.users') UNION ALL
                       SELECT to_regclass('public."user"') UNION ALL
                       SELECT confrelid FROM pg_catalog.pg_constraint
                        WHERE conrelid = to_regclass('public.tasks')
                          AND conname = 'fk_tasks_user_id')
        AND coalesce(a.xact_start < now() - CAST(:waited AS interval), true)
        OR (l.locktype = 'advisory' AND (l.classid::bigint << 32 | l.objid::bigint) = :lock))
 ORDER BY l.pid
"""


@contextmanager
def _translated(
    connection: sa.Connection, refusal: type[SchemaError] = MigrationFailed
) -> Iterator[None]:
    """The errors of the database and of Alembic as ours."""
    try:
        yield
    except DBAPIError as error:
        _raise(connection, error, refusal)
    except CommandError as error:
        raise SchemaError(f"there is no way to that revision: {error}") from error


def _raise(connection: sa.Connection, error: DBAPIError, refusal: type[SchemaError]) -> NoReturn:
    cause = error.orig
    sqlstate = getattr(cause, "sqlstate", None)
    if sqlstate is None or sqlstate in _ENDED:
        raise ConnectionLost(
            "the connection was lost; a migration that had not ended was rolled back"
        ) from error
    if sqlstate == REFUSED and isinstance(cause, psycopg.Error):
        raise refusal(f"{cause.diag.message_primary}; nothing was changed") from error
    if sqlstate == "42501" and refusal is TenantRoleNotCreated:
        raise TenantRoleNotCreated(_role_for_the_dba(connection)) from error
    if sqlstate == "55P03":
        raise SchemaLocked(_blockers(connection)) from error
    if sqlstate == "42704" and TENANT_ROLE in str(cause):
        raise _RoleVanished(f"the role {TENANT_ROLE} is gone; nothing was changed") from error
    reason = _REASONS.get(sqlstate, f"the database refused a statement ({sqlstate})")
    raise MigrationFailed(f"{reason}; nothing was changed") from error


def _role_for_the_dba(connection: sa.Connection) -> str:
    with connection.begin():
        login = connection.scalar(sa.text("SELECT quote_ident(session_user)"))
    return (
        f"the login may not create the role {TENANT_ROLE}; a DBA has to run: "
        f"CREATE ROLE {TENANT_ROLE} NOLOGIN NOINHERIT; GRANT {TENANT_ROLE} TO {login};"
    )


def _blockers(connection: sa.Connection) -> str:
    with connection.begin():
        known = {"lock": _LOCK, "waited": connection.info.get(_WAITED, "0")}
        pids = connection.scalars(sa.text(_HOLDERS), known).all()
    held = f" (locks there are held by process {', '.join(map(str, pids))})" if pids else ""
    return (
        f"a lock on the tasks or the users table was not to be had in time{held}; "
        "nothing was changed"
    )


__all__ = [
    "TaskcoreError",
    "adopt_users",
    "check",
    "current",
    "downgrade",
    "head",
    "history",
    "older_revisions",
    "sql",
    "upgrade",
]
