"""What an operation is: a generator that yields queries and receives their rows.

The same generator serves the blocking driver, the awaiting one and a session of the caller's. The
bare `yield` stands in `rows` only; everything else is `yield from`, because a forgotten one would
do nothing and raise nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, Protocol, TypeAlias, TypeVar, cast

from sqlalchemy import Executable, UpdateBase
from sqlalchemy.dialects.postgresql import psycopg
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.util import memoized_property

from taskcore.owner import valid_owner

R = TypeVar("R")
T_co = TypeVar("T_co", covariant=True)
U = TypeVar("U")

Row: TypeAlias = tuple[Any, ...]

OWNER_COLUMN = "user_id"
"""The name of the column of every row that belongs to an owner."""


class Statement:
    """A SQLAlchemy Core statement, compiled once into what libpq takes.

    A `repeatable` statement may be sent again when it is not known whether it ran.
    """

    def __init__(self, core: Executable, *, repeatable: bool | None = None) -> None:
        self.core = core
        self.writes = isinstance(core, UpdateBase)
        self.repeatable = not self.writes if repeatable is None else repeatable

    # functools.cached_property would take a lock on Python 3.11, which a child process would find
    # locked if another thread was compiling when it was forked.

    @memoized_property
    def _compiled(self) -> tuple[str, tuple[str, ...]]:
        dialect = psycopg.dialect(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]
        compiled = cast(SQLCompiler, cast(ClauseElement, self.core).compile(dialect=dialect))
        return compiled.string, tuple(compiled.positiontup or ())

    @memoized_property
    def sql(self) -> bytes:
        return self._compiled[0].encode()

    @memoized_property
    def parameters(self) -> tuple[str, ...]:
        """The names of $1, $2, …"""
        return self._compiled[1]

    @memoized_property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns of its rows."""
        columns = getattr(self.core, "exported_columns", None)  # SQL as a text has none
        return () if columns is None else tuple(columns.keys())

    @memoized_property
    def owner_column(self) -> int | None:
        """The place of the owner in its rows, if they name one."""
        return self.columns.index(OWNER_COLUMN) if OWNER_COLUMN in self.columns else None

    @memoized_property
    def name(self) -> bytes:
        """The name under which it is prepared; different SQL has a different name."""
        return b"taskcore_" + hashlib.sha256(self.sql).hexdigest()[:16].encode()


class Query(NamedTuple):
    """A statement with its values."""

    statement: Statement
    values: Mapping[str, object]


Steps: TypeAlias = Generator[Query, list[Row], R]
"""The steps of an operation: queries go out, their rows come back, R is what they lead to."""


def rows(statement: Statement, **values: object) -> Steps[list[Row]]:
    return (yield Query(statement, values))


def first(statement: Statement, **values: object) -> Steps[Row | None]:
    found = yield from rows(statement, **values)
    return found[0] if found else None


class Sink(Protocol):
    """Takes the rows of a large result in batches while they arrive, all but the last batch."""

    def restart(self) -> None:
        """Forget every batch: the connection was lost, and the rows are sent again."""

    def take(self, rows: list[Row], /) -> Awaitable[None] | None:
        """Take a batch, and the list itself; `AsyncDatabase` awaits the result."""


@dataclass(frozen=True, slots=True)
class Op(Generic[T_co]):
    """An operation with its arguments: a value that can be kept and run any number of times.

    `steps` leads to raw rows, and `read` makes of them what the caller gets. With a `sink`, a
    driver hands over the rows of a large result while they arrive, and `steps` receives only the
    last batch. A result of one batch, and any result in a session, is a last batch.
    """

    owner: str
    steps: Callable[..., Steps[Any]]
    args: tuple[object, ...]
    read: Callable[[Any], T_co]
    sink: Sink | None = None

    def __post_init__(self) -> None:
        valid_owner(self.owner)

    @property
    def name(self) -> str:
        """The operation's name, such as get_task: its steps have it, after an underscore."""
        return getattr(self.steps, "__name__", "operation").lstrip("_")

    def start(self) -> Steps[Any]:
        """Begin a new run of the operation."""
        return self.steps(self.owner, *self.args)

    def with_result(self, read: Callable[[Any], U], sink: Sink | None = None) -> Op[U]:
        """Return the same operation with another function that reads its rows, and a sink."""
        # Past the check of the owner, which has been checked; a loop would take twice as long.
        op: Op[U] = object.__new__(Op)
        assign = object.__setattr__
        assign(op, "owner", self.owner)
        assign(op, "steps", self.steps)
        assign(op, "args", self.args)
        assign(op, "read", read)
        assign(op, "sink", sink)
        return op
