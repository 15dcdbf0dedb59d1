"""When keys are fetched: before they are old, once at a time, seldom for an unknown one."""

from __future__ import annotations

import asyncio
from contextlib import closing

import pytest

from fix_api import free_port
from fix_clock import Clock, until
from fix_doors import OpenDoor, enter, fetched, refusal
from fix_keys import KeyServer
from fix_tokens import jwk, key_signer
from taskapi.auth import Door


def stranger(number: int) -> str:
    return key_signer(kid=f"invented {number}").token("alice")


async def test_fifty_with_an_unknown_key_cause_one_fetch(door: Door, key_server: KeyServer) -> None:
    assert len(key_server.asked) == 1
    key_server.keys.append(jwk("EdDSA", 1))
    key_server.hang()
    signer = key_signer("EdDSA", 1)
    waiting = [asyncio.create_task(enter(door, signer.token(f"u{n}"))) for n in range(50)]
    await until(lambda: len(key_server.asked) == 2)
    assert not any(task.done() for task in waiting)
    key_server.go_on()
    assert await asyncio.gather(*waiting) == [f"u{n}" for n in range(50)]
    assert len(key_server.asked) == 2


async def test_unknown_keys_cause_one_fetch_in_thirty_seconds(
    door: Door, key_server: KeyServer, clock: Clock
) -> None:
    for round in range(3):
        for number in range(20):
            assert await refusal(door, stranger(20 * round + number)) == "token_invalid"
            await clock.forward(0.5)
        assert len(key_server.asked) == 2 + round
        await clock.forward(20.5)
    assert await refusal(door, stranger(60)) == "token_invalid"
    assert len(key_server.asked) == 5


async def test_one_who_hangs_up_ends_the_fetch_for_nobody_else(
    door: Door, key_server: KeyServer
) -> None:
    key_server.keys.append(jwk("EdDSA", 1))
    key_server.hang()
    first, second = (
        asyncio.create_task(enter(door, key_signer("EdDSA", 1).token(user))) for user in "ab"
    )
    await until(lambda: len(key_server.asked) == 2)
    first.cancel()
    await asyncio.wait([first])
    key_server.go_on()
    assert await second == "b"
    assert first.cancelled()
    assert len(key_server.asked) == 2


async def test_a_key_younger_than_the_fetch_under_way_is_found(
    door: Door, key_server: KeyServer, clock: Clock
) -> None:
    key_server.hang()
    await clock.forward(500)
    await until(lambda: len(key_server.asked) == 2)
    key_server.keys.append(jwk("EdDSA", 1))
    waiting = asyncio.create_task(enter(door, key_signer("EdDSA", 1).token("alice")))
    await asyncio.sleep(0)
    key_server.go_on()
    assert await waiting == "alice"
    assert len(key_server.asked) == 3


async def test_keys_are_fetched_anew_before_their_lifetime_ends(
    door: Door, key_server: KeyServer, clock: Clock
) -> None:
    """And by nobody's request: here there is none."""
    assert door.keys is not None
    for fetches in range(1, 4):
        await clock.forward(400)
        await asyncio.sleep(0.01)
        assert len(key_server.asked) == fetches
        await clock.forward(190)
        await fetched(door, key_server, fetches + 1)


async def test_failures_back_off(
    door: Door, key_server: KeyServer, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    key_server.behaves = "500"
    await clock.forward(500)
    await until(lambda: len(caplog.records) == 1)
    for failures, pause in enumerate((1, 2, 4, 8, 16, 30, 30, 30), start=1):
        if pause >= 8:  # the real time that passes meanwhile is less than the other half
            await clock.forward(pause / 2)
            await asyncio.sleep(0.01)
            assert len(key_server.asked) == 1 + failures
        await clock.forward(pause)
        await until(lambda: len(caplog.records) == failures + 1)  # noqa: B023
    assert len(key_server.asked) == 10
    key_server.behaves = "ok"
    await clock.forward(30)
    await until(lambda: len(key_server.asked) == 11)
    assert await enter(door, key_signer().token("alice")) == "alice"


async def test_a_night_without_the_endpoint_is_survived(
    open_door: OpenDoor, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """As many failures as a float has powers of two, and some more."""
    port = free_port()
    door = await open_door(keys_url=f"http://127.0.0.1:{port}/api/auth/jwks")
    for failures in range(1, 1101):
        await until(lambda: len(caplog.records) == failures)  # noqa: B023
        await clock.forward(31)
    assert await refusal(door, key_signer().token("alice")) == "keys_unavailable"
    with closing(KeyServer([jwk("EdDSA")], port)):
        await clock.forward(31)
        await until(lambda: door.keys is not None and door.keys.loaded)
        assert await enter(door, key_signer().token("alice")) == "alice"
