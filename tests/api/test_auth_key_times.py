"""When keys are fetched, to a hundredth of a second: the clock is stopped and put forward."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import closing

import pytest

from api.jwks_server import JwksServer
from api.loop_clock import Clock
from api.tokens import ALGORITHMS, jwk
from support.ports import bound_socket, port_of
from taskapi.auth import jwks_client
from taskapi.auth.jwks_client import JwksClient
from taskapi.auth.key_set import Key, parse
from taskapi.problems import Problem

STALE_LIMIT = 3600
# Binary fractions, so that the sums of times are exact.
MOMENT = 1 / 64


class Watched:
    """A client of the endpoint, how often its keys have changed, and its fetches."""

    def __init__(self, url: str, server: JwksServer, clock: Clock) -> None:
        self.changes = 0
        self.jwks = JwksClient(url, stale_limit=STALE_LIMIT, on_change=self._count)
        self._server = server
        self._clock = clock

    def _count(self) -> None:
        self.changes += 1

    async def fetches(self) -> int:
        """The number of fetches until now, each of which has ended."""
        await self._clock.forward(0)
        await self._clock.wait_until(lambda: self.jwks._fetching is None)
        return len(self._server.requests)

    async def finds(self, key_id: object) -> bool:
        return await self.jwks.key(key_id) is not None

    async def assert_without_keys(self, retry_after: str = "1") -> None:
        """A token is answered 503, with the seconds until the next fetch."""
        with pytest.raises(Problem) as refused:
            await self.jwks.key("EdDSA-0")
        assert refused.value.kind.code == "keys_unavailable"
        assert refused.value.headers["Retry-After"] == retry_after


@pytest.fixture
async def watched(jwks_server: JwksServer, clock: Clock) -> AsyncIterator[Watched]:
    clock.stop()
    watched = Watched(jwks_server.url, jwks_server, clock)
    await watched.jwks.open()
    assert await watched.fetches() == 1
    yield watched
    await watched.jwks.close()


async def test_keys_are_fetched_again_after_480_seconds(watched: Watched, clock: Clock) -> None:
    for number in range(1, 4):
        await clock.forward(480 - MOMENT)
        assert await watched.fetches() == number
        await clock.forward(MOMENT)
        assert await watched.fetches() == number + 1


async def test_each_pause_after_a_failed_fetch_has_its_length(
    watched: Watched, jwks_server: JwksServer, clock: Clock
) -> None:
    jwks_server.behaves = "500"
    await clock.forward(480)
    assert await watched.fetches() == 2
    for number, pause in enumerate((1, 2, 4, 8, 16, 30, 30, 30), start=2):
        await clock.forward(pause - MOMENT)
        assert await watched.fetches() == number
        await clock.forward(MOMENT)
        assert await watched.fetches() == number + 1
    assert await watched.finds("EdDSA-0")
    # A good answer ends the pauses, and the next failure begins with the shortest again.
    jwks_server.behaves = "ok"
    await clock.forward(30)
    assert await watched.fetches() == 11
    jwks_server.behaves = "500"
    await clock.forward(480 - MOMENT)
    assert await watched.fetches() == 11
    await clock.forward(MOMENT)
    assert await watched.fetches() == 12
    await clock.forward(1)
    assert await watched.fetches() == 13


async def test_unknown_keys_cause_three_fetches_and_then_one_in_20_seconds(
    watched: Watched, clock: Clock
) -> None:
    for number in range(5):
        assert not await watched.finds(f"invented {number}")
        assert await watched.fetches() == 1 + min(number + 1, 3)
    for number in range(4, 7):
        await clock.forward(20 - MOMENT)
        assert not await watched.finds("invented")
        assert await watched.fetches() == number
        await clock.forward(MOMENT)
        assert not await watched.finds("invented")
        assert await watched.fetches() == number + 1


@pytest.mark.parametrize("key_id", [None, 7, ["EdDSA-0"], {"EdDSA-0": 1}], ids=repr)
async def test_what_is_no_key_id_causes_no_fetch(key_id: object, watched: Watched) -> None:
    """The control is an unknown id."""
    assert not await watched.finds(key_id)
    assert await watched.fetches() == 1
    assert not await watched.finds("unknown")
    assert await watched.fetches() == 2


async def test_a_second_passes_between_a_failed_fetch_and_one_for_an_unknown_key(
    watched: Watched, jwks_server: JwksServer, clock: Clock
) -> None:
    jwks_server.behaves = "500"
    assert not await watched.finds("new")
    assert await watched.fetches() == 2
    jwks_server.behaves = "ok"
    jwks_server.keys.append(jwk("EdDSA", 1, kid="new"))
    await clock.forward(1 - MOMENT)
    assert not await watched.finds("new")
    assert await watched.fetches() == 2
    await clock.forward(MOMENT)
    assert await watched.finds("new")
    assert await watched.fetches() == 3


async def test_a_second_passes_between_two_fetches_while_there_are_no_keys(
    watched: Watched, jwks_server: JwksServer, clock: Clock
) -> None:
    jwks_server.behaves = "no keys"
    assert await watched.fetches() == 1
    await clock.forward(480)
    assert await watched.fetches() == 2
    for number in range(2, 5):
        await watched.assert_without_keys()
        await clock.forward(1 - MOMENT)
        await watched.assert_without_keys()
        assert await watched.fetches() == number
        await clock.forward(MOMENT)
        assert await watched.fetches() == number + 1
    jwks_server.behaves = "ok"
    await clock.forward(30)
    assert await watched.finds("EdDSA-0")


async def test_retry_after_is_the_time_until_the_next_fetch(
    jwks_server: JwksServer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the shortest pause as it is, that is always a second."""
    monkeypatch.setattr(jwks_client, "_SHORTEST_PAUSE", 30.0)
    clock.stop()
    jwks_server.behaves = "no keys"
    watched = Watched(jwks_server.url, jwks_server, clock)
    await watched.jwks.open()
    assert await watched.fetches() == 1
    for seconds, retry_after in ((0, "30"), (5, "25"), (0.5, "25"), (24, "1")):
        await clock.forward(seconds)
        await watched.assert_without_keys(retry_after)
    assert await watched.fetches() == 1
    await watched.jwks.close()


async def test_a_token_without_keys_shortens_the_pause_to_a_second(
    watched: Watched, jwks_server: JwksServer, clock: Clock
) -> None:
    jwks_server.behaves = "no keys"
    await clock.forward(480)
    assert await watched.fetches() == 2
    for number, pause in enumerate((1, 2, 4, 8), start=3):
        await clock.forward(pause)
        assert await watched.fetches() == number
    # The fetch that the token causes fails too, and then the next one is 1 s away, not 16 or 30.
    await clock.forward(5)
    await watched.assert_without_keys()
    assert await watched.fetches() == 7
    await clock.forward(1)
    assert await watched.fetches() == 8
    # Without another token the pauses are long again.
    await clock.forward(30 - MOMENT)
    assert await watched.fetches() == 8
    await clock.forward(MOMENT)
    assert await watched.fetches() == 9


async def test_keys_are_used_up_to_the_stale_limit_and_no_longer(
    watched: Watched, jwks_server: JwksServer, clock: Clock
) -> None:
    jwks_server.hang()  # so that no failed fetch looks at the age of the keys
    seen = []
    for seconds in (STALE_LIMIT, MOMENT):
        await clock.forward(seconds)
        seen.append((watched.jwks.loaded, watched.changes))
    assert seen == [(True, 1), (False, 2)]


async def test_the_same_set_again_changes_nothing(
    watched: Watched, jwks_server: JwksServer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A set is read once. The control is another set."""
    read: list[bytes] = []

    def noting(content: bytes) -> Mapping[str, Key]:
        read.append(content)
        return parse(content)

    monkeypatch.setattr(jwks_client, "parse", noting)
    key = await watched.jwks.key("EdDSA-0")
    for number in (2, 3):
        await clock.forward(480)
        assert await watched.fetches() == number
        assert await watched.jwks.key("EdDSA-0") is key
    assert (watched.changes, read) == (1, [])
    jwks_server.keys = [jwk(algorithm) for algorithm in ALGORITHMS[:2]]
    await clock.forward(480)
    assert await watched.fetches() == 4
    assert read == [jwks_server.document]
    assert await watched.jwks.key("EdDSA-0") is not key
    assert watched.changes == 2


async def test_the_log_says_why_a_fetch_failed_and_whether_there_are_keys(
    watched: Watched, jwks_server: JwksServer, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for behaves, pause in (("500", 480), ("cut off", 1), ("no keys", 2)):
        jwks_server.behaves = behaves
        await clock.forward(pause)
        await watched.fetches()
    assert [record.getMessage() for record in caplog.records] == [
        "the keys could not be fetched (status 500)",
        "the keys could not be fetched (RemoteProtocolError)",
        "the keys could not be fetched (the set has no usable key); there are none",
    ]


@pytest.mark.parametrize("during_a_fetch", [True, False])
async def test_nothing_is_fetched_after_the_end(
    during_a_fetch: bool, jwks_server: JwksServer, clock: Clock
) -> None:
    clock.stop()
    watched = Watched(jwks_server.url, jwks_server, clock)
    await watched.jwks.open()
    assert await watched.fetches() == 1
    if during_a_fetch:
        jwks_server.hang()
        await clock.forward(480)
        await clock.wait_until(lambda: len(jwks_server.requests) == 2)
    assert len(asyncio.all_tasks()) == 2 + during_a_fetch
    await watched.jwks.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    await clock.forward(480)
    assert await watched.fetches() == 1 + during_a_fetch


async def test_an_endpoint_that_is_not_there_is_asked_again(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    clock.stop()
    with bound_socket() as bound:
        url = f"http://127.0.0.1:{port_of(bound)}/api/auth/jwks"
        jwks = JwksClient(url, stale_limit=STALE_LIMIT, on_change=lambda: None)
        await jwks.open()
        await clock.wait_until(lambda: caplog.records)
        assert caplog.messages == ["the keys could not be fetched (ConnectError); there are none"]
        with closing(JwksServer([jwk("EdDSA")], bound)):
            await clock.forward(1)
            await clock.wait_until(lambda: jwks.loaded)
        await jwks.close()
