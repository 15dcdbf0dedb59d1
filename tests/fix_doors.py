"""Doors without a server around them, and how one knocks."""

from __future__ import annotations

from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import pytest

from fix_api import SECRET
from fix_clock import until
from fix_tokens import BASE, Signer, b64
from taskapi.auth import Door
from taskapi.auth.claims import Audience
from taskapi.problems import Problem

if TYPE_CHECKING:
    from fix_keys import KeyServer


# What stands in a signature's place, made from what was signed and from the good signature.
Fault: TypeAlias = Callable[[bytes, bytes], bytes]


class OpenDoor(Protocol):
    def __call__(self, **terms: Any) -> Awaitable[Door]: ...


async def enter(door: Door, token: str | bytes) -> str:
    """Whom the door takes the bearer of this token for."""
    text = token.encode() if isinstance(token, str) else token
    return await door.identify([(b"authorization", b"Bearer " + text)])


async def refusal(door: Door, token: str | bytes) -> str:
    """The code that the bearer of this token is sent away with."""
    try:
        user = await enter(door, token)
    except Problem as problem:
        return problem.kind.code
    raise AssertionError(f"{user} was let in")


async def fetched(door: Door, key_server: KeyServer, times: int) -> None:
    """Waits for the end of the fetch of this number."""
    assert door.keys is not None
    keys = door.keys
    await until(lambda: len(key_server.asked) == times and keys._fetching is None)


async def is_refused(door: Door, signer: Signer, fault: Fault) -> None:
    """A token with this fault in its signature is not valid; without it, it is."""
    good = signer.token("alice")
    signed = good.rpartition(".")[0]
    forged = fault(signed.encode(), urlsafe_b64decode(good.rpartition(".")[2] + "=="))
    assert await refusal(door, f"{signed}.{b64(forged)}") == "token_invalid"
    assert await enter(door, good) == "alice"
    assert await refusal(door, f"{signed}.{b64(forged)}") == "token_invalid"


@pytest.fixture
async def open_door() -> AsyncIterator[OpenDoor]:
    """Doors that have begun to fetch their keys, if they have any."""
    async with AsyncExitStack() as stack:

        async def opened(**terms: Any) -> Door:
            door = Door(**{"secrets": [], "of_keys": Audience(BASE, BASE), **terms})
            await door.open()
            stack.push_async_callback(door.close)
            return door

        yield opened


@pytest.fixture
async def door(open_door: OpenDoor, key_server: KeyServer) -> Door:
    """A door for both ways, which has its keys."""
    door = await open_door(secrets=[SECRET], keys_url=key_server.url)
    assert door.keys is not None
    keys = door.keys
    await until(lambda: keys.loaded)
    return door
