"""The database server: whether it is there, which it is, and how it is reached."""

from __future__ import annotations

from statistics import median
from time import perf_counter, time
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg

from taskcli import failures
from taskcore import InvalidInput
from taskcore.urls import is_pooled, libpq_conninfo

from . import Finding, Ill

if TYPE_CHECKING:
    from taskapi.settings import Settings

_OLDEST = 150000
_SLOW_MS = 100
_CLOCKS_DIFFER_BY = 5.0
_SET_CLOCK = "timedatectl set-ntp true"


class Connected(NamedTuple):
    finding: Finding
    connection: psycopg.Connection[Any] | None


def connected(url: str) -> Connected:
    """The server's connection, and how long a round trip takes."""
    try:
        connection = psycopg.connect(libpq_conninfo(url), autocommit=True, prepare_threshold=None)
        took = []
        for _ in range(5):
            started = perf_counter()
            connection.execute("SELECT 1")
            took.append(perf_counter() - started)
    except (psycopg.Error, InvalidInput) as error:
        reason = failures.refusal(error) or failures.explained(error)[0]
        return Connected(Finding("connection", False, reason), None)
    ms = median(took) * 1000
    said = f"{ms:.1f} ms a round trip" + ": far away" * (ms > _SLOW_MS)
    return Connected(Finding("connection", True, said), connection)


def version(connection: psycopg.Connection[Any]) -> str:
    found = connection.info.server_version
    if found < _OLDEST:
        raise Ill(f"PostgreSQL {found // 10000} is too old", "an upgrade to PostgreSQL 15 or newer")
    return f"PostgreSQL {found // 10000}.{found % 10000}"


def pooling(url: str, settings: Settings | None) -> str:
    """Whether a transaction pooler is in front, and prepared statements are off then."""
    named = is_pooled(libpq_conninfo(url))
    said = settings.transaction_pooler if settings is not None else None
    if named and said is False:
        raise Ill(
            "the host is a transaction pooler, and TASKAPI_TRANSACTION_POOLER denies it: prepared "
            "statements would be mixed up",
            "unset TASKAPI_TRANSACTION_POOLER",
        )
    if named or said:
        return "through a transaction pooler, without prepared statements"
    return "direct, with prepared statements"


def clock(connection: psycopg.Connection[Any], offset: float = 0) -> str:
    """Whether tokens expire when the database thinks so; `offset` is for whoever doubts it."""
    before = time()
    row = connection.execute(
        "SELECT extract(epoch FROM pg_catalog.clock_timestamp())::float8"
    ).fetchone()
    between = (before + time()) / 2 + offset
    differ = abs((row[0] if row else 0) - between)
    if differ > _CLOCKS_DIFFER_BY:
        raise Ill(f"this machine and the database differ by {differ:.0f} s", _SET_CLOCK)
    return f"differs by {differ * 1000:.0f} ms"


def connections(
    connection: psycopg.Connection[Any], settings: Settings | None, workers: int
) -> str:
    """Whether the server takes as many as the processes may want."""
    wanted = (settings.pool_size if settings is not None else 10) * workers
    row = connection.execute(
        "SELECT pg_catalog.current_setting('max_connections')::int4 "
        "- pg_catalog.current_setting('superuser_reserved_connections')::int4"
    ).fetchone()
    allowed = row[0] if row else 0
    if wanted > allowed:
        raise Ill(
            f"{workers} processes want {wanted} connections, and the server takes {allowed}",
            f"TASKAPI_POOL_SIZE={max(1, allowed // workers)}",
        )
    return f"{wanted} of {allowed}"
