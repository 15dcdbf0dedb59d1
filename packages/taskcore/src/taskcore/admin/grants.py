"""Who may take the tenant's role: the login that a server runs as has to be a member of it."""

from __future__ import annotations

import time
from typing import NamedTuple

import psycopg
from psycopg import sql

from taskcore.errors import InvalidInput, TaskcoreError, TenantRoleMissing
from taskcore.wire import TENANT_ROLE

from .connection import Admin

_ATTEMPTS = 50
_PAUSE = 0.02


class Tenants(NamedTuple):
    """The tenant's role, seen from this login."""

    exists: bool
    login: str
    may_take_it: bool
    members: tuple[str, ...]


def tenants(admin: Admin) -> Tenants:
    """Who may take the role, and whether this login may."""
    row = admin.execute(
        "SELECT session_user::text, pg_has_role(session_user, oid, "
        "CASE WHEN current_setting('server_version_num')::int4 >= 160000 "
        "THEN 'SET' ELSE 'MEMBER' END), "
        "ARRAY(SELECT DISTINCT m.rolname::text FROM pg_auth_members a "
        "JOIN pg_roles m ON m.oid = a.member WHERE a.roleid = r.oid ORDER BY 1) "
        "FROM pg_roles r WHERE rolname = %s",
        [TENANT_ROLE],
    ).fetchone()
    if row is None:
        login = admin.execute("SELECT session_user::text").fetchone() or ("",)
        return Tenants(False, login[0], False, ())
    return Tenants(True, row[0], row[1], tuple(row[2]))


def grant(admin: Admin, login: str) -> None:
    """Make a login a member of the tenant's role: it may take it, and inherits nothing of it."""
    query = sql.SQL("GRANT {} TO {}").format(sql.Identifier(TENANT_ROLE), sql.Identifier(login))
    if admin.info.server_version >= 160000:
        # Rights that are inherited would be there outside the lock as well.
        query += sql.SQL(" WITH INHERIT FALSE, SET TRUE")
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            admin.execute(query)
            return
        except psycopg.errors.UndefinedObject as error:
            if not tenants(admin).exists:
                raise TenantRoleMissing from error
            raise InvalidInput(
                f"there is no login {login!r} in this cluster: create it first"
            ) from error
        except psycopg.errors.InsufficientPrivilege as error:
            raise TaskcoreError(
                f"this login may not grant the role {TENANT_ROLE}; a DBA has to run: "
                f"{query.as_string(admin)};"
            ) from error
        except (psycopg.errors.InternalError_, psycopg.errors.UniqueViolation):
            # Another database of the cluster is at the same role at this moment.
            if attempt == _ATTEMPTS:
                raise
            time.sleep(_PAUSE)
