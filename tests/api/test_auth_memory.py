"""What was verified is remembered, in bounded room and by the whole token."""

from __future__ import annotations

import gc
import sys

import pytest

from fix_api import SECRET
from fix_doors import OpenDoor, enter, refusal
from fix_tokens import Signer, b64, key_signer, secret_signer
from taskapi.auth import Door

ROOM = 10_000


async def grown(door: Door, first: int, count: int) -> int:
    """How many blocks of memory more there are after so many new tokens."""
    signer = secret_signer()
    before = sys.getallocatedblocks()
    for number in range(first, first + count):
        user = f"user_{number}"
        assert await enter(door, signer.token(user)) == user
    gc.collect()
    return sys.getallocatedblocks() - before


async def test_a_hundred_thousand_tokens_leave_memory_bounded(open_door: OpenDoor) -> None:
    """The control is the beginning: while there is room, each token is seen to take some."""
    door = await open_door(secrets=[SECRET])
    assert await grown(door, 0, ROOM) > 2 * ROOM
    assert await grown(door, ROOM, 100_000 - ROOM) < ROOM / 2
    assert len(door._remembered) == ROOM


@pytest.mark.parametrize("signer", [secret_signer(), key_signer()], ids=["secret", "keys"])
async def test_a_remembered_token_is_the_whole_token(signer: Signer, door: Door) -> None:
    good = signer.token("alice")
    header, claims, signature = good.split(".")
    other = signer.token("bob").split(".")
    assert await enter(door, good) == "alice"
    for forged in (
        f"{header}.{claims}.{other[2]}",
        f"{header}.{other[1]}.{signature}",
        f"{b64(b'{}')}.{claims}.{signature}",
        f"{header}.{claims}.{signature[::-1]}",
        f"{header}.{claims}.{signature[:-4]}",
    ):
        assert await refusal(door, forged) in ("token_invalid", "token_malformed")
        assert await enter(door, good) == "alice"
    assert await enter(door, ".".join(other)) == "bob"


async def test_what_was_refused_is_not_remembered(open_door: OpenDoor) -> None:
    """A token may be refused today for its beginning, and accepted when that has come."""
    now = 1_000.0
    door = await open_door(secrets=[SECRET], clock=lambda: now)
    token = secret_signer().token("alice", iat=1_100, exp=2_000)
    for _ in range(2):
        assert await refusal(door, token) == "token_not_yet_valid"
    assert len(door._remembered) == 0
    now = 1_200.0
    assert await enter(door, token) == "alice"
    assert len(door._remembered) == 1
