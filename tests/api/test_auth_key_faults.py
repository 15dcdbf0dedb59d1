"""What is no answer changes nothing: the keys that there were stay, and none are taken from it."""

from __future__ import annotations

import asyncio

import pytest

from fix_clock import Clock, until
from fix_doors import OpenDoor, enter, refusal
from fix_keys import FAULTS, KeyServer
from fix_tokens import jwk, key_signer
from taskapi.auth import Door

HANGING = ["hangs", "hangs in the middle"]


@pytest.mark.parametrize("fault", FAULTS)
async def test_after_a_bad_answer_the_old_keys_stay(
    fault: str, door: Door, key_server: KeyServer, clock: Clock
) -> None:
    old, new = key_signer(), key_signer("EdDSA", 1)
    key_server.keys = [jwk("EdDSA", 1)]
    key_server.behaves = fault
    assert await refusal(door, new.token("alice")) == "token_invalid"
    assert await enter(door, old.token("alice")) == "alice"
    assert key_server.asked == ["/api/auth/jwks"] * 2
    # The control: it was the answer's fault.
    key_server.behaves = "ok"
    await clock.forward(31)
    assert await enter(door, new.token("alice")) == "alice"
    assert await refusal(door, old.token("alice")) == "token_invalid"


@pytest.mark.parametrize("fault", FAULTS)
async def test_with_bad_answers_only_there_are_no_keys(
    fault: str, open_door: OpenDoor, key_server: KeyServer, clock: Clock
) -> None:
    key_server.behaves = fault
    door = await open_door(keys_url=key_server.url)
    keys = door.keys
    assert keys is not None
    for _ in range(3):
        assert await refusal(door, key_signer().token("alice")) == "keys_unavailable"
        assert not keys.loaded
    assert key_server.asked == ["/api/auth/jwks"], "nobody is let ask again at once"
    # The control, which needs nobody's request.
    key_server.behaves = "ok"
    await clock.forward(31)
    await until(lambda: keys.loaded)
    assert await enter(door, key_signer().token("alice")) == "alice"


@pytest.mark.parametrize("how", HANGING)
async def test_an_answer_is_not_waited_for_long(
    how: str, door: Door, key_server: KeyServer, clock: Clock
) -> None:
    key_server.keys.append(jwk("EdDSA", 1))
    key_server.behaves = how
    key_server.hang()
    waiting = asyncio.create_task(refusal(door, key_signer("EdDSA", 1).token("alice")))
    await until(lambda: len(key_server.asked) == 2)
    await asyncio.sleep(0.01)
    assert not waiting.done()
    await clock.forward(5)
    assert await waiting == "token_invalid"
    assert await enter(door, key_signer().token("alice")) == "alice"
    # The control: the answer would have brought the key.
    key_server.behaves = "ok"
    key_server.go_on()
    await clock.forward(31)
    assert await enter(door, key_signer("EdDSA", 1).token("alice")) == "alice"


async def test_an_answer_that_drips_is_not_waited_for_either(
    door: Door, key_server: KeyServer, clock: Clock
) -> None:
    """Each byte comes in time; all of them together would not."""
    key_server.keys.append(jwk("EdDSA", 1))
    key_server.behaves = "drips"
    key_server.hang()
    waiting = asyncio.create_task(refusal(door, key_signer("EdDSA", 1).token("alice")))
    for _ in range(2):
        dripped = key_server.drops
        await until(lambda: key_server.drops > dripped + 3)  # noqa: B023
        assert not waiting.done()
        await clock.forward(3)
    assert await asyncio.wait_for(waiting, 30) == "token_invalid"
    assert await enter(door, key_signer().token("alice")) == "alice"


async def test_the_largest_set_that_may_be_is_taken(
    open_door: OpenDoor, key_server: KeyServer
) -> None:
    """The control of the size: a set with much beside its keys, up to the limit."""
    room = 256 * 1024 - len(key_server.document) - len(', {"pad": ""}')
    key_server.keys.append({"pad": "x" * room})
    assert len(key_server.document) == 256 * 1024
    door = await open_door(keys_url=key_server.url)
    assert await enter(door, key_signer().token("alice")) == "alice"
