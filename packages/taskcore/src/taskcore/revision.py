"""Which revision the database is at, asked as a server can: without Alembic, in one round trip."""

from __future__ import annotations

from typing import cast

from sqlalchemy import column, select, table

from .effects import Effect, Op, Statement, first
from .models import SCHEMA

# Nobody's id: the question concerns no user, and no row of a user's can answer it.
_NOBODY = "taskcore:revision"
_REVISION = Statement(select(table("taskcore_version", column("version_num"), schema=SCHEMA)))


def database_revision() -> Op[str | None, str | None]:
    """The revision of the schema; None where no migration has run to its end."""
    return Op(_NOBODY, _read, (), _same)


def _read(_: str) -> Effect[str | None]:
    row = yield from first(_REVISION)
    return cast("str | None", row and row[0])


def _same(revision: str | None) -> str | None:
    return revision
