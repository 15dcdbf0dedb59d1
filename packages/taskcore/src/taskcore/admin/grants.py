"""Which logins may take the tenant role, and which may create objects beside the tasks."""

from __future__ import annotations

import time
from typing import NamedTuple

import psycopg
from psycopg import sql

from taskcore.errors import InvalidInput, NotPermitted, TenantRoleMissing
from taskcore.tenancy import TENANT_ROLE, TRUSTED_ROLES

from .connection import Admin

_ATTEMPTS = 50
_PAUSE = 0.02


class TenantRole(NamedTuple):
    """The tenant role, as this login sees it."""

    exists: bool
    login: str
    may_take_it: bool
    members: tuple[str, ...]


def tenant_role(admin: Admin) -> TenantRole:
    """Return which logins may take the role, and whether this login may."""
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
        return TenantRole(False, login[0], False, ())
    return TenantRole(True, row[0], row[1], tuple(row[2]))


def creators(admin: Admin) -> list[str]:
    """Return the logins that may create in the schema public and are not trusted, for a REVOKE."""
    query = sql.SQL(
        "SELECT DISTINCT CASE x.grantee WHEN 0 THEN 'PUBLIC' "
        "ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(x.grantee)) END "
        "FROM pg_catalog.pg_namespace n CROSS JOIN pg_catalog.aclexplode(n.nspacl) x "
        "WHERE n.nspname = 'public' AND x.privilege_type = 'CREATE' "
        "AND x.grantee NOT IN ({}) ORDER BY 1"
    ).format(sql.SQL(TRUSTED_ROLES))
    return [login for (login,) in admin.execute(query)]


def grant(admin: Admin, login: str) -> None:
    """Make a login a member of the tenant role: it may take it, and inherits no right of it."""
    query = sql.SQL("GRANT {} TO {}").format(sql.Identifier(TENANT_ROLE), sql.Identifier(login))
    if admin.info.server_version >= 160000:
        # An inherited right would hold without taking the role, and so without the binding.
        query += sql.SQL(" WITH INHERIT FALSE, SET TRUE")
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            admin.execute(query)
            return
        except psycopg.errors.UndefinedObject as error:
            if not tenant_role(admin).exists:
                raise TenantRoleMissing from error
            raise InvalidInput(
                f"there is no login {login!r} in this cluster: create it first"
            ) from error
        except psycopg.errors.InsufficientPrivilege as error:
            raise NotPermitted(
                f"this login may not grant the role {TENANT_ROLE}; a DBA has to run: "
                f"{query.as_string(admin)};"
            ) from error
        except (psycopg.errors.InternalError_, psycopg.errors.UniqueViolation):
            # Another database of the cluster is changing the same role at this moment.
            if attempt == _ATTEMPTS:
                raise
            time.sleep(_PAUSE)
