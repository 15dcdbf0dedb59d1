"""Migrations that are killed on their way: nothing is ever half applied.

How far a migration gets before the end is told by the bytes that it has sent: from there on the
network is silent, and the process (or the whole of PostgreSQL) is killed.
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
MORE_THAN_ALL = 10**9


class Stalling(FaultyProxy):
    """Goes silent where the other would cut."""

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
    faulty_proxy = Stalling((parts.hostname, parts.port))
    try:
        yield faulty_proxy
    finally:
        faulty_proxy.close()


UP = ("migrate",)
DOWN = ("migrate", "--down", "--to", "base", "--yes")
DIRECTIONS = [UP, DOWN] if FULL else [UP]


def length(cli: Cli, url: str, faulty_proxy: FaultyProxy, verb: tuple[str, ...] = UP) -> int:
    """How many bytes a whole migration sends."""
    cut = faulty_proxy.cut_after("up", MORE_THAN_ALL)
    assert cli(*verb, DATABASE_URL=behind(faulty_proxy, url)).code == 0
    return MORE_THAN_ALL - cut.after


def stopped_after(
    cli: Cli,
    url: str,
    faulty_proxy: FaultyProxy,
    sent: int,
    kill: Callable[[subprocess.Popen[str]], None],
    verb: tuple[str, ...] = UP,
) -> tuple[int, str]:
    """A migration that is stopped when it has sent so much: how it ended, and what it said."""
    cut = faulty_proxy.cut_after("up", sent)
    process = cli.start(*verb, DATABASE_URL=behind(faulty_proxy, url))
    wait_until(lambda: cut.done.is_set() or process.poll() is not None, "the cut")
    assert cut.done.is_set(), "it was done before it was stopped"
    kill(process)
    faulty_proxy.heal()
    _, said = process.communicate(timeout=60)
    return process.returncode, said


def points(whole: int, number: int) -> list[int]:
    """One in each part of the way, the last of them near its end."""
    chance = random.Random(whole)
    part = whole // number
    return [part * n + chance.randrange(part // 2, part * 9 // 10) for n in range(number)]


@pytest.mark.parametrize("verb", DIRECTIONS, ids=" ".join)
def test_a_migration_that_is_killed_leaves_all_of_it_or_nothing(
    verb: tuple[str, ...],
    cli: Cli,
    empty_url: str,
    settled_revision: SettledRevision,
    figure: Figure,
) -> None:
    url = empty_url
    start, end = (None, HEAD) if verb is UP else (HEAD, None)

    def put_back() -> None:
        migrations.upgrade(url)
        if start is None:
            migrations.downgrade(url, "base")

    put_back()
    seen = []
    with stalling(url) as faulty_proxy:
        whole = length(cli, url, faulty_proxy, verb)
        put_back()
        for sent in points(whole, KILLS):
            code, _ = stopped_after(cli, url, faulty_proxy, sent, subprocess.Popen.kill, verb)
            assert code == -signal.SIGKILL
            seen.append(settled_revision(url))
            if seen[-1] == end:
                put_back()
    assert set(seen) <= {start, end}
    assert start in seen
    assert cli(*verb, DATABASE_URL=url).code == 0
    assert settled_revision(url) == end
    migrations.upgrade(url)
    run_sql(url, "INSERT INTO users (id) VALUES ('alice')")
    assert operations_work(url, "alice")
    figure(f"{KILLS} x {' '.join(verb)} killed: {seen.count(end)} done, the others undone, 0 half")


def test_a_migration_whose_database_is_killed_says_one_sentence_and_leaves_nothing(
    cli: Cli, killable_postgres: KillablePostgres, settled_revision: SettledRevision
) -> None:
    name = f"killed_{uuid4().hex}"
    run_sql(killable_postgres.owner_url, f"CREATE DATABASE {name}")
    try:
        url = killable_postgres.server.url_for(name)
        with stalling(url) as faulty_proxy:
            whole = length(cli, url, faulty_proxy)
            migrations.downgrade(url, "base")
            for sent in points(whole // 2, SERVER_KILLS):
                code, said = stopped_after(
                    cli, url, faulty_proxy, sent, lambda _: killable_postgres.kill()
                )
                killable_postgres.start()
                assert (code, said.count("\n")) == (1, 1), said
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
def test_a_revision_that_is_applied_by_half_is_seen(
    own_url: str, settled_revision: SettledRevision, half: str
) -> None:
    """The control."""
    assert settled_revision(own_url) == HEAD
    run_sql(own_url, half)
    with pytest.raises(AssertionError, match="this is not 000"):
        settled_revision(own_url)
