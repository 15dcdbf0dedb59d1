"""While the endpoint is away: who has a known key notices nothing, and nothing lasts for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from fix_clock import Clock, until
from fix_doors import OpenDoor, enter, fetched, refusal
from fix_keys import KeyServer
from fix_tokens import ALGORITHMS, jwk, key_signer
from taskapi.auth import Door


def at_once(coroutine: Coroutine[Any, Any, str]) -> str:
    """What it gives without having waited for anything."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return str(end.value)
    coroutine.close()
    raise AssertionError("it waits")


@pytest.mark.parametrize("how", ["hangs", "hangs in the middle"])
async def test_known_keys_wait_for_no_fetch(
    how: str, door: Door, key_server: KeyServer, clock: Clock
) -> None:
    key_server.behaves = how
    key_server.hang()
    await clock.forward(500)
    await until(lambda: len(key_server.asked) == 2)
    for algorithm in ALGORITHMS:
        assert at_once(enter(door, key_signer(algorithm).token(algorithm))) == algorithm
    assert at_once(refusal(door, key_signer().token("alice", exp=1))) == "token_expired"
    assert len(key_server.asked) == 2
    with pytest.raises(AssertionError, match="it waits"):
        at_once(enter(door, key_signer("EdDSA", 1).token("alice")))


async def test_known_keys_hold_up_to_the_limit_and_then_nothing_does(
    open_door: OpenDoor, key_server: KeyServer, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Not even what is remembered: nobody could take it back any more."""
    door = await open_door(keys_url=key_server.url, stale_limit=3600)
    remembered = key_signer().token("alice")
    assert await enter(door, remembered) == "alice"
    key_server.behaves = "500"
    await clock.forward(3500)
    await until(lambda: len(caplog.records) == 1)
    assert await enter(door, key_signer().token("bob")) == "bob"
    assert await enter(door, remembered) == "alice"
    await clock.forward(120)
    await until(lambda: len(caplog.records) == 2)
    assert await refusal(door, remembered) == "keys_unavailable"
    assert await refusal(door, key_signer().token("bob")) == "keys_unavailable"
    key_server.behaves = "ok"
    await clock.forward(31)
    assert await enter(door, remembered) == "alice"


async def test_too_old_keys_end_without_a_fetch_between(
    open_door: OpenDoor, key_server: KeyServer, clock: Clock
) -> None:
    door = await open_door(keys_url=key_server.url, stale_limit=3600)
    keys = door.keys
    assert keys is not None
    await until(lambda: keys.loaded)
    key_server.hang()
    await clock.forward(3599)
    assert keys.loaded
    await clock.forward(2)
    assert not keys.loaded


async def test_a_key_that_disappeared_is_refused_within_the_lifetime(
    door: Door, key_server: KeyServer, clock: Clock
) -> None:
    gone, stays = (key_signer(name).token("alice") for name in ("EdDSA", "ES256"))
    for token in (gone, stays):
        assert await enter(door, token) == "alice"
    # A refresh that brings the same keys ends nothing.
    await clock.forward(500)
    await fetched(door, key_server, 2)
    assert await enter(door, gone) == "alice"
    key_server.keys = [key for key in key_server.keys if key["kid"] != "EdDSA-0"]
    await clock.forward(500)
    await fetched(door, key_server, 3)
    assert await refusal(door, gone) == "token_invalid"
    assert await refusal(door, key_signer().token("alice")) == "token_invalid"
    assert await enter(door, stays) == "alice"


async def test_a_key_of_the_same_id_is_another_key(
    door: Door, key_server: KeyServer, clock: Clock
) -> None:
    old, new = key_signer(), key_signer("EdDSA", 1, kid="EdDSA-0")
    assert await enter(door, old.token("alice")) == "alice"
    assert await refusal(door, new.token("alice")) == "token_invalid"
    key_server.keys = [jwk("EdDSA", 1, kid="EdDSA-0")]
    await clock.forward(500)
    await fetched(door, key_server, 2)
    assert await refusal(door, old.token("alice")) == "token_invalid"
    assert await enter(door, new.token("alice")) == "alice"


async def test_keys_made_after_the_server_started_work_soon(
    open_door: OpenDoor, clock: Clock, caplog: pytest.LogCaptureFixture, key_server: KeyServer
) -> None:
    """Better Auth makes its first key for its first token, however long that takes to come."""
    made, key_server.keys = key_server.keys, []
    door = await open_door(keys_url=key_server.url)
    for failures in range(1, 8):
        await until(lambda: len(caplog.records) == failures)  # noqa: B023
        await clock.forward(31)
    await until(lambda: len(caplog.records) == 8)
    key_server.keys = made
    await clock.forward(1)
    await asyncio.sleep(0)
    assert await enter(door, key_signer().token("alice")) == "alice"
