"""Under a long mixed load, memory, open files, threads and open transactions do not grow.

The pool connects when no connection is idle, however late that happens. So the server's pool is
small, and counting begins when it is full: from then on, a file more is a file left open.

TASKCORE_TEST_SOAK is the duration in seconds.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from statistics import median
from time import monotonic

import psutil
import psycopg
import pytest

from faults.writers import Writer, differences, writing
from support.api_server import Serve
from support.figures import FULL, Figure
from support.killable_postgres import LOGIN, KillablePostgres
from support.load import Load
from support.polling import wait_until

SECONDS = float(os.environ.get("TASKCORE_TEST_SOAK", "60" if FULL else "5"))
WRITERS, READERS = 6, 4
POOL_SIZE = 4
# The sessions of the server's login: those of its pool, and the one of /health/ready.
SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE usename = %s"
# A transaction that was left open. One in use is never idle for a second.
LEFT_OPEN = """
SELECT count(*) FROM pg_stat_activity
 WHERE state LIKE 'idle in transaction%' AND state_change < now() - interval '1 s'
"""


@dataclass(frozen=True)
class Sample:
    """What a server uses at one moment."""

    megabytes: float
    files: float
    threads: float
    left_open: float


# The median of the last third may exceed the median of the second third by this much.
ALLOWED = Sample(megabytes=4, files=2, threads=1, left_open=0)


def grown(samples: Sequence[Sample]) -> list[str]:
    """The fields that grew from the second third to the last; the first third is the warm-up."""
    third = len(samples) // 3
    before, after = (
        [median(values) for values in zip(*map(astuple, some), strict=True)]
        for some in (samples[third : 2 * third], samples[2 * third :])
    )
    names = [field.name for field in fields(Sample)]
    return [
        f"{name}: {old:g}, then {new:g}"
        for name, old, new, more in zip(names, before, after, astuple(ALLOWED), strict=True)
        if new > old + more
    ]


def sampled(server: psutil.Process, admin: psycopg.Connection) -> Sample:
    row = admin.execute(LEFT_OPEN).fetchone()
    assert row is not None
    memory = server.memory_info().rss / 2**20
    return Sample(memory, server.num_fds(), server.num_threads(), row[0])


def sessions(admin: psycopg.Connection) -> int:
    row = admin.execute(SESSIONS, [LOGIN]).fetchone()
    assert row is not None
    return int(row[0])


def test_nothing_grows_under_mixed_load(
    serve: Serve, killable_postgres: KillablePostgres, figure: Figure
) -> None:
    writers = [Writer(killable_postgres.new_user()) for _ in range(WRITERS)]
    samples: list[Sample] = []
    with (
        serve(killable_postgres.url, TASKAPI_POOL_SIZE=str(POOL_SIZE)) as api,
        psycopg.connect(killable_postgres.owner_url, autocommit=True) as admin,
        writing(writers, lambda: api.base),
    ):
        load = Load(api, [killable_postgres.new_user() for _ in range(READERS)])
        server = psutil.Process(api.process.pid)
        with load.running():
            wait_until(lambda: sessions(admin) == POOL_SIZE + 1, "a full pool")
            end, never = monotonic() + SECONDS, threading.Event()
            while monotonic() < end:
                samples.append(sampled(server, admin))
                never.wait(SECONDS / 100)
    assert grown(samples) == []
    assert {sample.left_open for sample in samples} == {0}
    assert set(load.counts()) == {(200, "")}
    assert not any(writer.refused for writer in writers)
    assert differences(writers, killable_postgres.owner_url) == {
        "lost": [],
        "doubled": [],
        "torn": [],
    }
    written = sum(writer.acknowledged.total() for writer in writers)
    first, last = samples[len(samples) // 3], samples[-1]
    figure(
        f"soak of {SECONDS:g} s: {written} writes, {len(load.answers)} others; "
        f"{first.megabytes:.0f} MB and then {last.megabytes:.0f}, files {first.files:g} and "
        f"{last.files:g}, threads {first.threads:g} and {last.threads:g}"
    )


@pytest.mark.parametrize("leak", [field.name for field in fields(Sample)])
def test_a_rising_figure_is_detected(leak: str) -> None:
    """Control: the same samples, but one of the figures rises."""
    steady = {"megabytes": 100.0, "files": 30.0, "threads": 4.0, "left_open": 0.0}
    flat = [Sample(**steady)] * 99
    assert grown(flat) == []
    rising = [Sample(**{**steady, leak: steady[leak] + n / 5}) for n in range(99)]
    assert [found.partition(":")[0] for found in grown(rising)] == [leak]
