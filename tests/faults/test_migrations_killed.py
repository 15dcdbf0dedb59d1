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

from fix_cli import Cli
from fix_faults import FULL, Figure, Link, Proxy, Trap, Way, behind
from fix_mortal import Mortal
from fix_revisions import State
from fix_schema import do, operations_work, wait_until
from taskcore import schema

KILLS = 40 if FULL else 2
SERVER_KILLS = 10 if FULL else 1
HEAD = schema.head()
MORE_THAN_ALL = 10**9


class Stalling(Proxy):
    """Where the other would cut, this one carries nothing any more."""

    def _caught(self, link: Link, way: Way, data: bytes) -> tuple[bytes, Trap | None]:
        data, trap = super()._caught(link, way, data)
        if trap is not None:
            self.begin_silence()
            trap.sprung.set()
        return data, None


@contextmanager
def stalling(url: str) -> Iterator[Proxy]:
    parts = urlsplit(url)
    assert parts.hostname is not None and parts.port is not None
    proxy = Stalling((parts.hostname, parts.port))
    try:
        yield proxy
    finally:
        proxy.close()


UP = ("migrate",)
DOWN = ("migrate", "--down", "--to", "base", "--yes")
WAYS = [UP, DOWN] if FULL else [UP]


def length(cli: Cli, url: str, proxy: Proxy, verb: tuple[str, ...] = UP) -> int:
    """How many bytes a whole migration sends."""
    trap = proxy.trap("up", MORE_THAN_ALL)
    assert cli(*verb, DATABASE_URL=behind(proxy, url)).code == 0
    return MORE_THAN_ALL - trap.after


def stopped_after(
    cli: Cli,
    url: str,
    proxy: Proxy,
    sent: int,
    kill: Callable[[subprocess.Popen[str]], None],
    verb: tuple[str, ...] = UP,
) -> tuple[int, str]:
    """A migration that is stopped when it has sent so much: how it ended, and what it said."""
    trap = proxy.trap("up", sent)
    process = cli.start(*verb, DATABASE_URL=behind(proxy, url))
    wait_until(lambda: trap.sprung.is_set() or process.poll() is not None, "the end of the way")
    assert trap.sprung.is_set(), "it was done before it was stopped"
    kill(process)
    proxy.heal()
    _, said = process.communicate(timeout=60)
    return process.returncode, said


def points(whole: int, number: int) -> list[int]:
    """One in each part of the way, the last of them near its end."""
    chance = random.Random(whole)
    part = whole // number
    return [part * n + chance.randrange(part // 2, part * 9 // 10) for n in range(number)]


@pytest.mark.parametrize("verb", WAYS, ids=" ".join)
def test_a_migration_that_is_killed_leaves_all_of_it_or_nothing(
    verb: tuple[str, ...], cli: Cli, empty_url: str, state: State, figure: Figure
) -> None:
    url = empty_url
    start, end = (None, HEAD) if verb is UP else (HEAD, None)

    def put_back() -> None:
        schema.upgrade(url)
        if start is None:
            schema.downgrade(url, "base")

    put_back()
    seen = []
    with stalling(url) as proxy:
        whole = length(cli, url, proxy, verb)
        put_back()
        for sent in points(whole, KILLS):
            code, _ = stopped_after(cli, url, proxy, sent, subprocess.Popen.kill, verb)
            assert code == -signal.SIGKILL
            seen.append(state(url))
            if seen[-1] == end:
                put_back()
    assert set(seen) <= {start, end}
    assert start in seen
    assert cli(*verb, DATABASE_URL=url).code == 0
    assert state(url) == end
    schema.upgrade(url)
    do(url, "INSERT INTO users (id) VALUES ('alice')")
    assert operations_work(url, "alice")
    figure(f"{KILLS} x {' '.join(verb)} killed: {seen.count(end)} done, the others undone, 0 half")


def test_a_migration_whose_database_is_killed_says_one_sentence_and_leaves_nothing(
    cli: Cli, mortal: Mortal, state: State
) -> None:
    name = f"killed_{uuid4().hex}"
    do(mortal.owner_url, f"CREATE DATABASE {name}")
    try:
        url = mortal.server.url_for(name)
        with stalling(url) as proxy:
            whole = length(cli, url, proxy)
            schema.downgrade(url, "base")
            for sent in points(whole // 2, SERVER_KILLS):
                code, said = stopped_after(cli, url, proxy, sent, lambda _: mortal.kill())
                mortal.start()
                assert (code, said.count("\n")) == (1, 1), said
                assert state(url) is None
        assert cli("migrate", DATABASE_URL=url).code == 0
        assert state(url) == HEAD
    finally:
        do(mortal.owner_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.parametrize(
    "half",
    [
        "DROP POLICY taskcore_owner ON tasks",
        "UPDATE taskcore_version SET version_num = '0001'",
    ],
)
def test_a_revision_that_is_applied_by_half_is_seen(own_url: str, state: State, half: str) -> None:
    """The control."""
    assert state(own_url) == HEAD
    do(own_url, half)
    with pytest.raises(AssertionError, match="this is not 000"):
        state(own_url)
