"""What differs between the definitions of today and a database, in both directions.

The expected schema is built beside the real one, in a transaction that is rolled back, and both are
read from the catalogue by the same queries. So PostgreSQL itself prints both sides, and types,
defaults, keys, indexes, the policy, grants and the function are compared exactly.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import sqlalchemy as sa

from taskcore.citus import set_owner_function_sql
from taskcore.models import SCHEMA, Task, User, metadata
from taskcore.tenancy import (
    FIND_USERS_TABLE,
    FOREIGN_KEY,
    ROLE_MAY_LOG_IN,
    TENANT_ROLE,
    VERSION_TABLE,
    lock_sql,
    reason_function_sql,
    show_revision_sql,
)

from . import distribution
from .connection import set_local

_SCRATCH = "taskcore_expected"

Inventory = dict[str, str]

_TABLES = """
SELECT 'table ' || relname,
       concat_ws(' ', CASE relkind WHEN 'r' THEN 'plain' ELSE 'of another kind' END,
                 CASE relpersistence WHEN 'u' THEN 'unlogged' END)
  FROM pg_class WHERE oid = ANY (CAST(:tables AS regclass[]))
UNION ALL
SELECT 'column ' || c.relname || '.' || a.attname,
       concat_ws(' ', format_type(a.atttypid, a.atttypmod),
                 CASE WHEN a.attnotnull THEN 'not null' END,
                 'default ' || pg_get_expr(d.adbin, d.adrelid),
                 CASE WHEN a.attgenerated <> '' THEN 'generated' END,
                 CASE WHEN a.attcollation <> t.typcollation THEN 'collated' END)
  FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_type t ON t.oid = a.atttypid
  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
 WHERE c.oid = ANY (CAST(:tables AS regclass[])) AND a.attnum > 0 AND NOT a.attisdropped
UNION ALL
SELECT 'constraint ' || conname || ' on ' || c.relname,
       concat_ws(' ', regexp_replace(pg_get_constraintdef(k.oid),
                                     'REFERENCES .*\\(', 'REFERENCES the users table ('),
                 CASE WHEN NOT convalidated THEN 'not valid' END,
                 CASE WHEN EXISTS (SELECT FROM pg_trigger
                                    WHERE tgconstraint = k.oid AND tgenabled <> 'O')
                      THEN 'not enforced' END)
  FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
 WHERE k.conrelid = ANY (CAST(:tables AS regclass[])) AND k.contype <> 'n' AND k.conparentid = 0
UNION ALL
SELECT 'index ' || i.relname || ' on ' || c.relname,
       concat_ws(' ', pg_get_indexdef(i.oid), CASE WHEN NOT x.indisvalid THEN 'invalid' END)
  FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class c ON c.oid = x.indrelid
 WHERE x.indrelid = ANY (CAST(:tables AS regclass[]))
UNION ALL
SELECT 'trigger ' || tgname || ' on ' || c.relname, pg_get_triggerdef(g.oid)
  FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid
 WHERE (tgrelid = ANY (CAST(:tables AS regclass[])) OR tgrelid = to_regclass(:version_table))
   AND NOT tgisinternal
UNION ALL
SELECT 'rule ' || rulename || ' on ' || c.relname, pg_get_ruledef(r.oid)
  FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class
 WHERE r.ev_class = ANY (CAST(:tables AS regclass[])) OR r.ev_class = to_regclass(:version_table)
UNION ALL
SELECT 'owner of table ' || v.relname,
       CASE v.relowner WHEN t.relowner THEN 'the owner of the tasks'
                       ELSE CAST(CAST(v.relowner AS regrole) AS text) END
  FROM pg_class v JOIN pg_class t ON t.oid = (CAST(:tables AS regclass[]))[1]
 WHERE v.oid = to_regclass(:version_table)
"""
_LOCKS = """
WITH functions AS (
    SELECT format('%s(%s)', proname, pg_get_function_identity_arguments(oid)) AS signature,
           CASE prokind WHEN 'a' THEN 'an aggregate' ELSE pg_get_functiondef(oid) END AS definition,
           proowner, proacl
      FROM pg_proc
     WHERE pronamespace = CAST(:schema AS regnamespace) AND proname LIKE 'taskcore\\_%')
SELECT 'row-level security on ' || relname,
       CASE WHEN relrowsecurity THEN 'enabled' ELSE 'disabled' END
       || CASE WHEN relforcerowsecurity THEN ', forced on the owner' ELSE '' END
  FROM pg_class WHERE oid = CAST(:tasks AS regclass)
UNION ALL
SELECT 'policy ' || polname,
       concat_ws(' ', CASE WHEN polpermissive THEN 'permissive' ELSE 'restrictive' END, polcmd,
                 'to', CAST(CAST(polroles AS regrole[]) AS text),
                 'using', pg_get_expr(polqual, polrelid),
                 'with check', pg_get_expr(polwithcheck, polrelid))
  FROM pg_policy WHERE polrelid = CAST(:tasks AS regclass)
UNION ALL
SELECT 'grants on ' || c.relname || ' to ' ||
       CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE :tenant END,
       string_agg(concat(x.privilege_type, CASE WHEN x.is_grantable THEN ' with grant option' END),
                  ', ' ORDER BY x.privilege_type)
  FROM pg_class c CROSS JOIN aclexplode(c.relacl) x
 WHERE (c.oid = ANY (CAST(:tables AS regclass[])) OR c.oid = to_regclass(:version_table))
   AND (x.grantee = CAST(:tenant AS regrole)
        OR x.grantee = 0 AND c.relname <> 'users')
 GROUP BY c.relname, x.grantee
UNION ALL
SELECT 'grants on column ' || c.relname || '.' || a.attname || ' to ' ||
       CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE :tenant END,
       string_agg(x.privilege_type, ', ' ORDER BY x.privilege_type)
  FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid CROSS JOIN aclexplode(a.attacl) x
 WHERE (c.oid = ANY (CAST(:tables AS regclass[])) OR c.oid = to_regclass(:version_table))
   AND (x.grantee = CAST(:tenant AS regrole) OR x.grantee = 0 AND c.relname = 'tasks')
 GROUP BY c.relname, a.attname, x.grantee
UNION ALL
SELECT 'function ' || signature, definition
  FROM functions
UNION ALL
SELECT 'owner of function ' || signature,
       CASE proowner WHEN (SELECT relowner FROM pg_class WHERE oid = CAST(:tasks AS regclass))
                     THEN 'the owner of the tasks' ELSE CAST(CAST(proowner AS regrole) AS text) END
  FROM functions
UNION ALL
SELECT 'grants on function ' || signature || ' to ' ||
       CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE CAST(CAST(x.grantee AS regrole) AS text) END,
       string_agg(x.privilege_type, ', ' ORDER BY x.privilege_type)
  FROM functions CROSS JOIN aclexplode(coalesce(proacl, acldefault('f', proowner))) x
 WHERE x.grantee <> proowner
 GROUP BY signature, x.grantee
UNION ALL
SELECT 'grants on the schema to ' || :tenant,
       CASE WHEN has_schema_privilege(:tenant, :schema, 'USAGE') THEN 'USAGE' END
"""
_ROLE = f"""
SELECT 'role ' || :tenant,
       coalesce((SELECT concat_ws(', ', CASE WHEN rolsuper THEN 'SUPERUSER' END,
                                  CASE WHEN rolbypassrls THEN 'BYPASSRLS' END,
                                  CASE WHEN rolcanlogin AND NOT {ROLE_MAY_LOG_IN}
                                       THEN 'LOGIN' END,
                                  CASE WHEN rolcreaterole THEN 'CREATEROLE' END,
                                  CASE WHEN rolcreatedb THEN 'CREATEDB' END,
                                  CASE WHEN rolreplication THEN 'REPLICATION' END,
                                  (SELECT 'member of ' || string_agg(CAST(CAST(roleid AS regrole)
                                                                          AS text), ', ')
                                     FROM pg_auth_members WHERE member = r.oid))
                   FROM pg_roles r WHERE rolname = :tenant), 'missing')
"""


class Difference(NamedTuple):
    """What differs: its name, a sentence, and its definitions of today and in the database."""

    name: str
    sentence: str
    wanted: str | None = None
    real: str | None = None


def differences(connection: sa.Connection) -> list[str]:
    """Return a sentence for each thing that is missing, unexpected or not as it should be."""
    with connection.begin() as transaction:
        found = [difference.sentence for difference in find(connection)]
        transaction.rollback()
    return found


def find(connection: sa.Connection) -> list[Difference]:
    """Return the differences, within the transaction that is open."""
    clustered = distribution.has_citus(connection)
    role = role_difference(connection)
    if role is not None and role.real is None:
        return [role]
    found = [role] if role is not None else []
    if not connection.scalar(sa.text(f"SELECT to_regclass('{SCHEMA}.tasks') IS NOT NULL")):
        return [*found, Difference("table tasks", "table tasks is missing")]
    users, ours = _users(connection)
    real = _inventory(connection, SCHEMA, ours)
    # Without the foreign key, a function that reads a users table shows that one belongs.
    asks_users = any(
        name.startswith("function ") and "NOT EXISTS (SELECT" in what for name, what in real.items()
    )
    with connection.begin_nested() as savepoint:
        # What is built here to be compared is of no use to the other nodes of a cluster. What a
        # repair does in the same transaction is: the savepoint takes this back, too.
        set_local(connection, {"citus.enable_ddl_propagation": "off"})
        _build_expected(connection, has_users=users is not None or asks_users, clustered=clustered)
        expected = _inventory(connection, _SCRATCH, ours)
        savepoint.rollback()
    found += _compare(expected, real, users)
    if clustered:
        found += [Difference("distribution", it) for it in distribution.differences(connection)]
    return found


def role_difference(connection: sa.Connection) -> Difference | None:
    """Return what is wrong with the tenant role; `real` is None if it is missing."""
    ((name, what),) = _read(connection, _ROLE, tenant=TENANT_ROLE).items()
    if what == "missing":
        return Difference(name, f"{name} is missing", wanted="")
    sentence = f"{name}: should have no such right: {what}"
    return Difference(name, sentence, wanted="", real=what) if what else None


def _users(connection: sa.Connection) -> tuple[str | None, bool]:
    """Return the users table's name, and whether a migration of ours made it."""
    row = connection.execute(sa.text(FIND_USERS_TABLE)).first()
    return (row.name, bool(row.ours)) if row else (None, False)


def _build_expected(connection: sa.Connection, *, has_users: bool, clustered: bool) -> None:
    connection.execute(sa.text(f"CREATE SCHEMA {_SCRATCH}"))
    moved = connection.execution_options(schema_translate_map={SCHEMA: _SCRATCH})
    metadata.create_all(moved, checkfirst=False)
    connection.execution_options(schema_translate_map=None)
    if not has_users:
        connection.execute(sa.text(f"ALTER TABLE {_SCRATCH}.tasks DROP CONSTRAINT {FOREIGN_KEY}"))
    connection.execute(sa.text(lock_sql(_SCRATCH)))
    connection.execute(sa.text(reason_function_sql(_SCRATCH)))
    if clustered:
        connection.execute(sa.text(set_owner_function_sql(_SCRATCH)))
    connection.execute(sa.text(f"CREATE TABLE {_SCRATCH}.{VERSION_TABLE} ()"))
    connection.execute(sa.text(show_revision_sql(_SCRATCH)))


def _inventory(connection: sa.Connection, schema: str, with_users: bool) -> Inventory:
    models = (Task, User) if with_users else (Task,)
    tables = [f"{schema}.{model.__tablename__}" for model in models]
    version_table = f"{schema}.{VERSION_TABLE}"
    inventory = _read(connection, _TABLES, tables=tables, version_table=version_table)
    return inventory | _read(
        connection,
        _LOCKS,
        tables=tables,
        tasks=f"{schema}.tasks",
        tenant=TENANT_ROLE,
        schema=schema,
        version_table=version_table,
    )


def _read(connection: sa.Connection, query: str, **values: object) -> Inventory:
    return {name: what or "" for name, what in connection.execute(sa.text(query), values)}


def _compare(expected: Inventory, real: Inventory, users: str | None) -> list[Difference]:
    def plain(text: str) -> str:
        if users is not None:
            text = text.replace(f"{_SCRATCH}.users u", f"{users} u")
        return re.sub(r"\s+", " ", text.replace(f"{_SCRATCH}.", f"{SCHEMA}."))

    found = []
    for name in sorted(expected.keys() | real.keys()):
        wanted = plain(expected[name]) if name in expected else None
        there = plain(real[name]) if name in real else None
        if there is None:
            sentence = f"{name} is missing"
        elif wanted is None:
            sentence = f"{name} is not expected: {there}"
        else:
            sentence = f"{name} is {there!r}, not {wanted!r}"
        if wanted != there:
            found.append(Difference(name, sentence, wanted, there))
    return found
