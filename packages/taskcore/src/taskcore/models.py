"""The tables. Their metadata and registry are separate, so that a host's `User` can't collide."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import Column, DateTime, ForeignKey, Index, MetaData, String, Table, Text, func, sql
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

SCHEMA = "public"

metadata = MetaData(
    schema=SCHEMA,
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    },
)


def _moment() -> Column[datetime]:
    return Column(DateTime(timezone=True), nullable=False, server_default=func.now())


class TableModel(SQLModel, registry=registry(metadata=metadata)):
    metadata = metadata
    __table__: ClassVar[Table]


class User(TableModel, table=True):
    """A user of Better Auth; the table is made only where there is none to adopt."""

    __tablename__ = "users"

    id: str = Field(sa_column=Column(Text, primary_key=True))
    email: str | None = Field(default=None, sa_column=Column(Text, unique=True))
    name: str | None = Field(default=None, sa_column=Column(Text))
    created_at: datetime = Field(default=None, sa_column=_moment())


class Task(TableModel, table=True):
    """A task of one user; the key starts with the owner."""

    __tablename__ = "tasks"
    __table_args__: ClassVar[Any] = (Index(None, "id", "user_id"),)

    user_id: str = Field(
        sa_column=Column(
            Text, ForeignKey(f"{SCHEMA}.users.id", ondelete="CASCADE"), primary_key=True
        )
    )
    id: UUID = Field(primary_key=True)
    title: str = Field(sa_column=Column(String(500), nullable=False))
    description: str | None = Field(default=None, sa_column=Column(Text))
    completed: bool = Field(
        default=False, sa_column_kwargs={"server_default": sql.expression.false()}
    )
    created_at: datetime = Field(default=None, sa_column=_moment())
    updated_at: datetime = Field(default=None, sa_column=_moment())
