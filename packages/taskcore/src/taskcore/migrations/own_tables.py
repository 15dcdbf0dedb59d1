"""Hooks for the Alembic of a service that keeps its own tables beside ours, in one database.

Without them, autogenerate drops every table that the service's models do not have, and makes the
foreign keys to our tables anew each time.
"""

from __future__ import annotations

from typing import Any, Protocol

from alembic.autogenerate.rewriter import Rewriter
from alembic.operations.ops import CreateForeignKeyOp, DropConstraintOp, ModifyTableOps
from alembic.runtime.migration import MigrationContext
from sqlalchemy.schema import SchemaItem

from taskcore.models import SCHEMA, metadata
from taskcore.tenancy import OWN_USERS_COMMENT, VERSION_TABLE

BETTER_AUTH_TABLES = ("account", "jwks", "session", "user", "verification")
"""The tables of Better Auth with the plugin that issues tokens; other plugins bring more."""

_OURS = frozenset({"tasks", VERSION_TABLE})


class IncludeObject(Protocol):
    """What Alembic's `include_object` takes."""

    def __call__(
        self,
        item: SchemaItem,
        name: str | None,
        kind: Any,
        reflected: bool,
        compare_to: SchemaItem | None,
        /,
    ) -> bool: ...


def leave_out(*others: str) -> IncludeObject:
    """Return the `include_object` with which autogenerate leaves taskcore's tables alone.

    Name the tables of other programs in the schema public as well, such as BETTER_AUTH_TABLES. A
    table that the service's own models have is never left out.
    """

    def include_object(
        item: SchemaItem, name: str | None, kind: Any, reflected: bool, _: SchemaItem | None, /
    ) -> bool:
        if kind != "table" or not reflected or getattr(item, "schema", None) not in (None, SCHEMA):
            return True
        # A users table is ours if a migration of ours has made it; the comment says so.
        ours = name in _OURS or getattr(item, "comment", None) == OWN_USERS_COMMENT
        return not ours and name not in others

    return include_object


keep_foreign_keys = Rewriter()
"""The `process_revision_directives` that leaves foreign keys to our tables as they are.

PostgreSQL names their target without its schema, our models with it. Alembic takes the two for
different keys, and would drop one and create the other. `chain` adds a Rewriter of your own.
"""


@keep_foreign_keys.rewrites(ModifyTableOps)
def _without_repeated_keys(
    _context: MigrationContext, _revision: Any, changes: ModifyTableOps
) -> ModifyTableOps | list[ModifyTableOps]:
    dropped = {
        _key(found): op
        for op in changes.ops
        if isinstance(op, DropConstraintOp) and op.constraint_type == "foreignkey"
        if isinstance(found := op.reverse(), CreateForeignKeyOp)
    }
    created = {_key(op): op for op in changes.ops if isinstance(op, CreateForeignKeyOp)}
    repeated = [each[key] for key in dropped.keys() & created.keys() for each in (dropped, created)]
    if not repeated:
        return changes
    changes.ops = [op for op in changes.ops if op not in repeated]
    return [] if changes.is_empty() else changes


def _key(op: CreateForeignKeyOp) -> tuple[object, ...]:
    """Return what makes two foreign keys the same, whatever their names are."""
    schema = op.kw.get("referent_schema")
    if schema is None and f"{SCHEMA}.{op.referent_table}" in metadata.tables:
        schema = SCHEMA
    actions = (str(op.kw.get(name) or "no action").lower() for name in ("onupdate", "ondelete"))
    waits = str(op.kw.get("initially") or "").lower() == "deferred"
    return (
        (op.kw.get("source_schema"), op.source_table, *op.local_cols),
        (schema, op.referent_table, *op.remote_cols),
        *actions,
        bool(op.kw.get("deferrable")) or waits,
        waits,
    )
