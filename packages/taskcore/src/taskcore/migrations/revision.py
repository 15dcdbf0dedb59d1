"""Which revision the database is at, asked as a server can: without Alembic, in one round trip."""

from __future__ import annotations

from sqlalchemy import column, select, table

from taskcore.execution.op import Op, Row, Statement, Steps, first
from taskcore.models import SCHEMA
from taskcore.tenancy import VERSION_TABLE

# No user has this id: the question concerns no user, and reads no user's row.
_NO_OWNER = "taskcore:revision"
_REVISION = Statement(select(table(VERSION_TABLE, column("version_num"), schema=SCHEMA)))


def database_revision() -> Op[str | None]:
    """Read the revision of the schema; None if no migration has run to its end."""
    return Op(_NO_OWNER, _database_revision, (), _revision)


def _database_revision(_: str) -> Steps[Row]:
    return (yield from first(_REVISION)) or ()


def _revision(row: Row) -> str | None:
    return row[0] if row else None
