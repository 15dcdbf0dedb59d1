"""The database server: connection, version, pooler, clock and number of connections."""

from __future__ import annotations

from statistics import median
from time import perf_counter, time
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg

from taskcli import failures
from taskcore import InvalidInput
from taskcore.connections import LocalConnection
from taskcore.urls import is_pooled, libpq_conninfo

from . import CheckFailed, Finding

if TYPE_CHECKING:
    from taskapi.settings import Settings

_OLDEST_VERSION = 150000
_SLOW_MS = 100
_QUESTIONS = 4
_SAY_SO = "TASKAPI_TRANSACTION_POOLER=true"
_MAX_CLOCK_DIFFERENCE = 5.0
_SET_CLOCK = "timedatectl set-ntp true"


class Connected(NamedTuple):
    finding: Finding
    connection: psycopg.Connection[Any] | None


def connected(url: str) -> Connected:
    """A connection as the server makes it, and the time of a round trip."""
    try:
        connection = LocalConnection.open(libpq_conninfo(url))
        seconds = []
        with connection.transaction():
            for _ in range(5):
                started = perf_counter()
                connection.execute("SELECT 1")
                seconds.append(perf_counter() - started)
    except (psycopg.Error, InvalidInput) as error:
        reason = failures.connection_failure(error) or failures.explain(error)[0]
        return Connected(Finding("connection", False, reason), None)
    ms = median(seconds) * 1000
    message = f"{ms:.1f} ms a round trip" + ": slow, the database is far away" * (ms > _SLOW_MS)
    return Connected(Finding("connection", True, message), connection)


def version(connection: psycopg.Connection[Any]) -> str:
    found = connection.info.server_version
    if found < _OLDEST_VERSION:
        raise CheckFailed(
            f"PostgreSQL {found // 10000} is too old", "an upgrade to PostgreSQL 15 or newer"
        )
    return f"PostgreSQL {found // 10000}.{found % 10000}"


def shares_connections(url: str) -> bool:
    """Ask whether a transaction pooler gives one connection of the server to two clients.

    Each of two clients asks several times which process serves it. Without such a pooler each has
    one process, and not the other's.
    """
    served: tuple[set[int], set[int]] = (set(), set())
    conninfo = libpq_conninfo(url)
    with LocalConnection.open(conninfo) as one, LocalConnection.open(conninfo) as other:
        for _ in range(_QUESTIONS):
            for client, processes in zip((one, other), served, strict=True):
                row = client.execute("SELECT pg_catalog.pg_backend_pid()").fetchone()
                processes.add(row[0] if row else 0)
    return max(map(len, served)) > 1 or not served[0].isdisjoint(served[1])


def pooling(url: str, settings: Settings | None, *, shared: bool) -> str:
    """Say whether prepared statements are used; fail if they are and a transaction pooler is there.

    The pooler is recognised by its host name, or `shared` says that it was found by asking.
    """
    recognised = is_pooled(libpq_conninfo(url))
    setting = settings.transaction_pooler if settings is not None else None
    if (recognised or shared) and setting is False:
        raise CheckFailed(
            "there is a transaction pooler, and TASKAPI_TRANSACTION_POOLER denies it: prepared "
            "statements would be mixed up",
            "unset TASKAPI_TRANSACTION_POOLER" if recognised else _SAY_SO,
        )
    if shared and not recognised and not setting:
        raise CheckFailed(
            "there is a transaction pooler, which the name of its host does not say: the first "
            "requests of each process would prepare statements in vain",
            _SAY_SO,
        )
    if recognised or setting:
        return "through a transaction pooler, without prepared statements"
    return "direct, with prepared statements"


def clock(connection: psycopg.Connection[Any]) -> str:
    """Compare this machine's clock, by which tokens expire, with the database's."""
    before = time()
    row = connection.execute(
        "SELECT extract(epoch FROM pg_catalog.clock_timestamp())::float8"
    ).fetchone()
    here = (before + time()) / 2
    difference = abs((row[0] if row else 0) - here)
    if difference > _MAX_CLOCK_DIFFERENCE:
        raise CheckFailed(
            f"the clocks of this machine and of the database differ by {difference:.0f} s",
            _SET_CLOCK,
        )
    return f"differs by {difference * 1000:.0f} ms"


def connections(
    connection: psycopg.Connection[Any], settings: Settings | None, workers: int
) -> str:
    """Fail if the pools of all processes together may exceed what the database server accepts."""
    wanted = (settings.pool_size if settings is not None else 10) * workers
    row = connection.execute(
        "SELECT pg_catalog.current_setting('max_connections')::int4 "
        "- pg_catalog.current_setting('superuser_reserved_connections')::int4"
    ).fetchone()
    allowed = row[0] if row else 0
    if wanted > allowed:
        raise CheckFailed(
            f"{workers} processes want {wanted} connections, and the server takes {allowed}",
            f"TASKAPI_POOL_SIZE={max(1, allowed // workers)}",
        )
    return f"{wanted} of {allowed}"
