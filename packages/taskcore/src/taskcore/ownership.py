"""Whose the objects in our names are: nothing is used that belongs to a login that is not trusted.

A view, trigger, policy or function runs with the rights of the login that uses it, and a login that
may create in `public` could make one in our name before the first migration. An operator's
connection asks before anything else. A driver asks before its operations until it has found all
objects, and in good hands: no other login can replace them then.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from psycopg.errors import UndefinedTable
from sqlalchemy import text

from .errors import SchemaMissing, UntrustedObject
from .execution.op import Op, Statement, Steps, rows
from .execution.server_state import ServerState
from .models import SCHEMA
from .tenancy import OUR_OBJECTS, UNTRUSTED, VERSION_TABLE

TABLES = frozenset({f"{SCHEMA}.tasks", f"{SCHEMA}.{VERSION_TABLE}"})
_ALL = TABLES | {f"{SCHEMA}.taskcore_why_missed"}

_OBJECTS = Statement(text(OUR_OBJECTS))


def untrusted(objects: Iterable[Any]) -> list[str]:
    """Return a sentence for each of these rows of OUR_OBJECTS that must not be used."""
    return [
        f"{name} belongs to the login {owner}, {UNTRUSTED}: drop it, or change its owner"
        for name, owner, trusted in objects
        if not trusted
    ]


def names_of_trusted(objects: Iterable[Any]) -> set[str]:
    """Return the names of what there is; UntrustedObject if some of it must not be used."""
    found = list(objects)
    if sentences := untrusted(found):
        raise UntrustedObject("; ".join(sentences))
    return {name for name, _, _ in found}


def refuse_missing(names: set[str]) -> None:
    """Raise what a statement would, which another login's table could let pass a moment later."""
    for name in sorted(TABLES - names):
        raise SchemaMissing from UndefinedTable(f"{name} does not exist")


def start(op: Op[Any], server: ServerState) -> Steps[Any]:
    """Begin a run of an operation, after the question if it has not been answered for good."""
    return op.start() if server.trusted else _ask_first(op, server)


def _ask_first(op: Op[Any], server: ServerState) -> Steps[Any]:
    names = names_of_trusted((yield from rows(_OBJECTS)))
    refuse_missing(names)
    # The function is made by a later revision than the tables.
    server.trusted = names >= _ALL
    return (yield from op.start())
