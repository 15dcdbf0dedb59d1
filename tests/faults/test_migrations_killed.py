"""Migrations that are killed while they run: no revision is ever half applied.

The number of bytes that a migration has sent sets the moment of the kill: at that number the proxy
goes silent, and the process (or all of PostgreSQL) is killed.
"""

from __future__ import annotations

import random
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from faults.faulty_proxy import Direction, FaultyProxy, Link, PlannedCut, behind
from faults.revisions import SettledRevision
from support.command import Cli
from support.figures import FULL, Figure
from support.killable_postgres import KillablePostgres
from support.polling import wait_until
from support.sql import operations_work, run_sql
from taskcore import migrations

KILLS = 40 if FULL else 2
SERVER_KILLS = 10 if FULL else 1
HEAD = migrations.head()
NEVER_REACHED = 10**9


class StallingProxy(FaultyProxy):
    """Goes silent where `FaultyProxy` would cut."""

    def _until_cut(
        self, link: Link, direction: Direction, data: bytes
    ) -> tuple[bytes, PlannedCut | None]:
        data, cut = super()._until_cut(link, direction, data)
        if cut is not None:
            self.begin_silence()
            cut.done.set()
        return data, None


@contextmanager
def stalling(url: str) -> Iterator[FaultyProxy]:
    parts = urlsplit(url)
    assert parts.hostname is not None and parts.port is not None
    faulty_proxy = StallingProxy((parts.hostname, parts.port))
    try:
        yield faulty_proxy
    finally:
        faulty_proxy.close()


UP = ("migrate",)
DOWN = ("migrate", "--down", "--to", "base", "--yes")
DIRECTIONS = [UP, DOWN] if FULL else [UP]


def bytes_sent(cli: Cli, url: str, faulty_proxy: FaultyProxy, verb: tuple[str, ...] = UP) -> int:
    """Run a complete migration; return the number of bytes that it sends."""
    cut = faulty_proxy.cut_after("up", NEVER_REACHED)
    assert cli(*verb, DATABASE_URL=behind(faulty_proxy, url)).code == 0
    return NEVER_REACHED - cut.after


def killed_after(
    cli: Cli,
    url: str,
    faulty_proxy: FaultyProxy,
    sent: int,
    kill: Callable[[subprocess.Popen[str]], None],
    verb: tuple[str, ...] = UP,
) -> tuple[int, str]:
    """Kill a migration when it has sent `sent` bytes; return its exit code and its stderr."""
    cut = faulty_proxy.cut_after("up", sent)
    process = cli.start(*verb, DATABASE_URL=behind(faulty_proxy, url))
    wait_until(lambda: cut.done.is_set() or process.poll() is not None, "the cut")
    assert cut.done.is_set(), "the migration ended before the kill"
    kill(process)
    faulty_proxy.heal()
    _, output = process.communicate(timeout=60)
    return process.returncode, output


def points(whole: int, number: int) -> list[int]:
    """Divide `whole` into `number` parts; return a random point in the second half of each."""
    rng = random.Random(whole)
    part = whole // number
    return [part * n + rng.randrange(part // 2, part * 9 // 10) for n in range(number)]


@pytest.mark.parametrize("verb", DIRECTIONS, ids=" ".join)
def test_a_killed_migration_is_applied_completely_or_not_at_all(
    verb: tuple[str, ...],
    cli: Cli,
    empty_url: str,
    settled_revision: SettledRevision,
    figure: Figure,
) -> None:
    url = empty_url
    start, end = (None, HEAD) if verb is UP else (HEAD, None)

    def restore() -> None:
        migrations.upgrade(url)
        if start is None:
            migrations.downgrade(url, "base")

    restore()
    seen = []
    with stalling(url) as faulty_proxy:
        whole = bytes_sent(cli, url, faulty_proxy, verb)
        restore()
        for sent in points(whole, KILLS):
            code, _ = killed_after(cli, url, faulty_proxy, sent, subprocess.Popen.kill, verb)
            assert code == -signal.SIGKILL
            seen.append(settled_revision(url))
            if seen[-1] == end:
                restore()
    assert set(seen) <= {start, end}
    assert start in seen
    assert cli(*verb, DATABASE_URL=url).code == 0
    assert settled_revision(url) == end
    migrations.upgrade(url)
    run_sql(url, "INSERT INTO users (id) VALUES ('alice')")
    assert operations_work(url, "alice")
    figure(
        f"{KILLS} x {' '.join(verb)} killed: {seen.count(end)} completed, "
        "the others rolled back, 0 half applied"
    )


def test_a_migration_whose_database_is_killed_prints_one_sentence_and_changes_nothing(
    cli: Cli, killable_postgres: KillablePostgres, settled_revision: SettledRevision
) -> None:
    name = f"killed_{uuid4().hex}"
    run_sql(killable_postgres.owner_url, f"CREATE DATABASE {name}")
    try:
        url = killable_postgres.server.url_for(name)
        with stalling(url) as faulty_proxy:
            whole = bytes_sent(cli, url, faulty_proxy)
            migrations.downgrade(url, "base")
            for sent in points(whole // 2, SERVER_KILLS):
                code, output = killed_after(
                    cli, url, faulty_proxy, sent, lambda _: killable_postgres.kill()
                )
                killable_postgres.start()
                assert (code, output.count("\n")) == (1, 1), output
                assert settled_revision(url) is None
        assert cli("migrate", DATABASE_URL=url).code == 0
        assert settled_revision(url) == HEAD
    finally:
        run_sql(killable_postgres.owner_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.parametrize(
    "half",
    [
        "DROP POLICY taskcore_owner ON tasks",
        "UPDATE taskcore_version SET version_num = '0001'",
    ],
)
def test_a_half_applied_revision_is_detected(
    own_url: str, settled_revision: SettledRevision, half: str
) -> None:
    """Control of `settled_revision`."""
    assert settled_revision(own_url) == HEAD
    run_sql(own_url, half)
    with pytest.raises(AssertionError, match="not the schema of 000"):
        settled_revision(own_url)
