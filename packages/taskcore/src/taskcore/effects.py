"""The vocabulary that operations are written in.

An operation is a generator: it yields queries and is sent their rows, so the same body serves a
blocking loop, an awaiting one and a session of the caller's. A bare `yield` stands in `rows` only;
everything else is `yield from`, because a forgotten one would do nothing and say nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Generic, TypeAlias, TypeVar, cast

from sqlalchemy import Executable, UpdateBase
from sqlalchemy.dialects.postgresql import psycopg
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.compiler import SQLCompiler

from .schemas import valid_owner

R = TypeVar("R")
T_co = TypeVar("T_co", covariant=True)
U = TypeVar("U")

Row: TypeAlias = tuple[Any, ...]


class Statement:
    """A SQLAlchemy Core statement, compiled once into what libpq takes.

    One that is `repeatable` may be sent again when it is not known whether it ran.
    """

    def __init__(self, core: Executable, *, repeatable: bool | None = None) -> None:
        self.core = core
        self.writes = isinstance(core, UpdateBase)
        self.repeatable = not self.writes if repeatable is None else repeatable

    @cached_property
    def _compiled(self) -> tuple[str, tuple[str, ...]]:
        dialect = psycopg.dialect(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]
        compiled = cast(SQLCompiler, cast(ClauseElement, self.core).compile(dialect=dialect))
        return compiled.string, tuple(compiled.positiontup or ())

    @cached_property
    def sql(self) -> bytes:
        return self._compiled[0].encode()

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        """The names of $1, $2, …"""
        return self._compiled[1]

    @cached_property
    def name(self) -> bytes:
        """The name under which it is prepared; other SQL has another name."""
        return b"taskcore_" + hashlib.sha256(self.sql).hexdigest()[:16].encode()


@dataclass(frozen=True, slots=True)
class Query:
    """A statement with its values."""

    statement: Statement
    values: Mapping[str, object]


Effect: TypeAlias = Generator[Query, list[Row], R]


def rows(statement: Statement, **values: object) -> Effect[list[Row]]:
    return (yield Query(statement, values))


def first(statement: Statement, **values: object) -> Effect[Row | None]:
    found = yield from rows(statement, **values)
    return found[0] if found else None


@dataclass(frozen=True, slots=True)
class Op(Generic[R, T_co]):
    """An operation with its arguments: a value that can be kept, and run as often as one likes.

    `steps` leads to raw rows, and `shape` makes of them what the caller gets.
    """

    owner: str
    steps: Callable[..., Effect[R]]
    args: tuple[object, ...]
    shape: Callable[[R], T_co]

    def __post_init__(self) -> None:
        valid_owner(self.owner)

    def start(self) -> Effect[R]:
        """A fresh run of the operation."""
        return self.steps(self.owner, *self.args)

    def shaped(self, shape: Callable[[R], U]) -> Op[R, U]:
        """The same operation, whose rows become something else."""
        return cast("Op[R, U]", replace(cast(Any, self), shape=shape))
