"""What puts a difference back: the statements for what `check` names, where they touch no row.

The statements are today's definitions, from `tenancy` and from the schema that `drift` builds to
compare with. Nothing that is unexpected is dropped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from taskcore.citus import set_owner_function_sql
from taskcore.errors import NotPermitted
from taskcore.models import SCHEMA
from taskcore.tenancy import (
    ADOPT_USERS,
    CREATE_ROLE,
    FIND_USERS_TABLE,
    FOREIGN_KEY,
    TENANT_ROLE,
    USERS_TABLE_SETTING,
    VERSION_TABLE,
    lock_sql,
    reason_function_sql,
    show_revision_sql,
)

from .connection import literal, set_local
from .drift import Difference, find, role_difference
from .failures import refusal_of

_ROLE_RIGHTS = re.compile(r"SUPERUSER|BYPASSRLS|LOGIN|CREATEROLE|CREATEDB|REPLICATION")
_WHY = f"{SCHEMA}.taskcore_why_missed(text, uuid)"
_SET_OWNER = f"{SCHEMA}.taskcore_set_owner(text)"

# Names of differences, as `drift` gives them.
_POLICY = "policy taskcore_owner"
_LOCK = re.compile(
    rf"row-level security on tasks|{_POLICY}"
    rf"|grants on (tasks|column tasks\..+) to ({TENANT_ROLE}|PUBLIC)|grants on the schema to .+"
)
_FUNCTION = re.compile(
    r"((owner of )?function taskcore_why_missed\(owner text, task uuid\))"
    rf"|grants on function taskcore_why_missed\(owner text, task uuid\) to ({TENANT_ROLE}|PUBLIC)"
)
# Only on a cluster; every login may call it, and other grants are not expected.
_BINDING = re.compile(
    r"((owner of )?function taskcore_set_owner\(owner text\))"
    r"|grants on function taskcore_set_owner\(owner text\) to PUBLIC"
)
_REVISION = re.compile(rf"grants on {VERSION_TABLE} to ({TENANT_ROLE}|PUBLIC)")
_FOREIGN_KEY = re.compile(rf"constraint {FOREIGN_KEY} on tasks")
_CONSTRAINT = re.compile(r"constraint (?P<name>\w+) on (?P<table>\w+)")
_INDEX = re.compile(r"index (?P<name>\w+) on (?P<table>\w+)")
_COLUMN = re.compile(r"column (?P<table>\w+)\.(?P<name>\w+)")
_COLUMN_TEXT = re.compile(r"(?P<type>.*?)(?P<not_null> not null)?(?: default (?P<default>.*))?")

# The condition that the reason function tests first: it names the users table, or there is none.
_ASKS = re.compile(r"IF (NOT EXISTS \(SELECT FROM (?P<table>.+) u WHERE|false THEN)")


class Repair(NamedTuple):
    """What a repair has done, or with `dry_run` would have done."""

    repaired: list[str]
    """The names of the differences that are gone."""
    left: list[str]
    """A sentence for each difference that a repair cannot put back."""
    role_made: bool
    """Whether the role was missing: which logins were its members is not known then."""
    sql: list[str]
    """The statements, in their order."""


class _Step(NamedTuple):
    pattern: re.Pattern[str]
    statements: list[str]
    users: str | None = None
    """The users table that the statements adopt."""


def role(connection: sa.Connection) -> tuple[bool, list[str]]:
    """Make the role, or take away what it should not have; return whether it was missing."""
    difference = role_difference(connection)
    if difference is None:
        return False, []
    rights = _ROLE_RIGHTS.findall((difference.real or "").partition("member of")[0])
    statements = [CREATE_ROLE]
    if rights:
        statements.insert(0, f"ALTER ROLE {TENANT_ROLE} {' '.join(f'NO{it}' for it in rights)}")
    for statement in statements:
        try:
            connection.execute(sa.text(statement))
        except DBAPIError as error:
            if statement == CREATE_ROLE or refusal_of(error) is None:
                raise
            raise NotPermitted(
                f"this login may not change the role; a DBA has to run: {statement};"
            ) from error
    return difference.real is None, statements


def rest(connection: sa.Connection, wanted_users: str) -> Repair:
    """Put back everything but the role, in the transaction that is open."""
    before = find(connection)
    reasons: dict[str, str] = {}
    done: list[str] = []
    for step in _steps(connection, before, wanted_users, reasons):
        try:
            with connection.begin_nested():
                if step.users is not None:
                    set_local(connection, {USERS_TABLE_SETTING: step.users})
                    done.append(f"SET LOCAL {USERS_TABLE_SETTING} = {literal(step.users)}")
                for statement in step.statements:
                    connection.execute(sa.text(statement))
        except DBAPIError as error:
            reason = refusal_of(error)
            if reason is None:
                raise
            reasons |= dict.fromkeys(_names(before, step.pattern), reason)
        else:
            done += step.statements
    after = find(connection)
    names_after = {difference.name for difference in after}
    repaired = [difference.name for difference in before if difference.name not in names_after]
    return Repair(repaired, [_sentence(it, reasons) for it in after], False, done)


def _sentence(difference: Difference, reasons: Mapping[str, str]) -> str:
    reason = reasons.get(difference.name)
    return difference.sentence + (f" ({reason})" if reason else "")


def _names(differences: Iterable[Difference], pattern: re.Pattern[str]) -> list[str]:
    return [it.name for it in differences if pattern.fullmatch(it.name)]


def _steps(
    connection: sa.Connection,
    differences: list[Difference],
    wanted_users: str,
    reasons: dict[str, str],
) -> Iterator[_Step]:
    """Yield what to run: tables before the lock, the foreign key before the function."""
    names = {difference.name for difference in differences}
    for difference in differences:
        if difference.wanted is not None:
            yield from _table_step(difference, names)
    keys, functions = _names(differences, _FOREIGN_KEY), _names(differences, _FUNCTION)
    users = _users_table(connection) or wanted_users
    if (keys or functions) and not users:
        # Without both, no users table and a lost one look the same.
        reasons |= dict.fromkeys(
            keys + functions,
            "which users table belongs to the tasks is not known: "
            "run `taskcli users adopt TABLE`, or with `none`",
        )
    else:
        key_is_missing = _foreign_key_target(connection) is None and users != "none"
        if keys or (functions and key_is_missing):
            yield _Step(_FOREIGN_KEY, [ADOPT_USERS], users)
        if functions:
            statements = [reason_function_sql(SCHEMA)]
            yield _Step(_FUNCTION, statements + _owner_step(connection, _WHY, functions))
    if binding := _names(differences, _BINDING):
        statements = [set_owner_function_sql(SCHEMA)]
        yield _Step(_BINDING, statements + _owner_step(connection, _SET_OWNER, binding))
    if _names(differences, _LOCK):
        unforced = f"ALTER TABLE {SCHEMA}.tasks NO FORCE ROW LEVEL SECURITY"
        missing = any(it.name == _POLICY and it.real is None for it in differences)
        old = [] if missing else [f"DROP {_POLICY} ON {SCHEMA}.tasks"]
        yield _Step(_LOCK, [unforced, *old, lock_sql(SCHEMA)])
    if _names(differences, _REVISION):
        revoke = f"REVOKE ALL ON {SCHEMA}.{VERSION_TABLE} FROM PUBLIC, {TENANT_ROLE}"
        yield _Step(_REVISION, [revoke, show_revision_sql(SCHEMA)])
    owned = f"owner of table {VERSION_TABLE}"
    if owned in names:
        table = f"{SCHEMA}.{VERSION_TABLE}"
        change = f"ALTER TABLE {table} OWNER TO {_owner_of_tasks(connection)}"
        yield _Step(re.compile(re.escape(owned)), [change])


def _owner_step(connection: sa.Connection, function: str, names: list[str]) -> list[str]:
    """Return the statement that gives a function its owner, if that is among the differences."""
    if not any(name.startswith("owner of") for name in names):
        return []
    return [f"ALTER FUNCTION {function} OWNER TO {_owner_of_tasks(connection)}"]


def _table_step(difference: Difference, names: set[str]) -> Iterator[_Step]:
    """Yield the statements for a constraint, an index, or a column's default and NOT NULL."""
    name, wanted = difference.name, difference.wanted or ""
    exact = re.compile(re.escape(name))
    if _FOREIGN_KEY.fullmatch(name):
        return
    if match := _CONSTRAINT.fullmatch(name):
        drop = "" if difference.real is None else f"DROP CONSTRAINT {match['name']}, "
        add = f"ADD CONSTRAINT {match['name']} {wanted}"
        yield _Step(exact, [f"ALTER TABLE {SCHEMA}.{match['table']} {drop}{add}"])
    elif match := _INDEX.fullmatch(name):
        # The index of a key comes with its constraint.
        if name.replace("index", "constraint", 1) not in names:
            drops = [] if difference.real is None else [f"DROP INDEX {SCHEMA}.{match['name']}"]
            yield _Step(exact, [*drops, wanted])
    elif (match := _COLUMN.fullmatch(name)) and difference.real is not None:
        now, then = _COLUMN_TEXT.fullmatch(difference.real), _COLUMN_TEXT.fullmatch(wanted)
        stays = difference.real.endswith(("generated", "collated"))
        if now and then and now["type"] == then["type"] and not stays:
            column = f"ALTER {match['name']}"
            default = f"SET DEFAULT {then['default']}" if then["default"] else "DROP DEFAULT"
            null = "SET" if then["not_null"] else "DROP"
            change = f"{column} {default}, {column} {null} NOT NULL"
            yield _Step(exact, [f"ALTER TABLE {SCHEMA}.{match['table']} {change}"])


def _users_table(connection: sa.Connection) -> str | None:
    """Return the users table that the foreign key names, or else the function: maybe `none`."""
    if target := _foreign_key_target(connection):
        return target
    body = connection.scalar(
        sa.text("SELECT prosrc FROM pg_catalog.pg_proc WHERE oid = to_regprocedure(:why)"),
        {"why": _WHY},
    )
    asked = _ASKS.search(body or "")
    return (asked["table"] or "none") if asked else None


def _foreign_key_target(connection: sa.Connection) -> str | None:
    row = connection.execute(sa.text(FIND_USERS_TABLE)).first()
    return row.name if row else None


def _owner_of_tasks(connection: sa.Connection) -> str:
    query = (
        "SELECT quote_ident(pg_get_userbyid(relowner)) FROM pg_catalog.pg_class "
        f"WHERE oid = to_regclass('{SCHEMA}.tasks')"
    )
    return str(connection.scalar(sa.text(query)))
