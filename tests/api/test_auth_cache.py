"""What was verified is remembered, in bounded room and by the whole token."""

from __future__ import annotations

import gc
import sys

import pytest

from api.authenticators import OpenAuthenticator, identify, refusal_code
from api.tokens import Signer, b64, key_signer, secret_signer
from support.api_server import SECRET
from taskapi.auth import Authenticator

ROOM = 10_000


async def grown(authenticator: Authenticator, first: int, count: int) -> int:
    """How many blocks of memory more there are after so many new tokens."""
    signer = secret_signer()
    before = sys.getallocatedblocks()
    for number in range(first, first + count):
        user = f"user_{number}"
        assert await identify(authenticator, signer.token(user)) == user
    gc.collect()
    return sys.getallocatedblocks() - before


async def test_a_hundred_thousand_tokens_leave_memory_bounded(
    open_authenticator: OpenAuthenticator,
) -> None:
    """The control is the beginning: while there is room, each token is seen to take some."""
    authenticator = await open_authenticator(secrets=[SECRET])
    assert await grown(authenticator, 0, ROOM) > 2 * ROOM
    assert await grown(authenticator, ROOM, 100_000 - ROOM) < ROOM / 2
    assert len(authenticator._remembered) == ROOM


@pytest.mark.parametrize("signer", [secret_signer(), key_signer()], ids=["secret", "keys"])
async def test_a_remembered_token_is_the_whole_token(
    signer: Signer, authenticator: Authenticator
) -> None:
    good = signer.token("alice")
    header, claims, signature = good.split(".")
    other = signer.token("bob").split(".")
    assert await identify(authenticator, good) == "alice"
    for forged in (
        f"{header}.{claims}.{other[2]}",
        f"{header}.{other[1]}.{signature}",
        f"{b64(b'{}')}.{claims}.{signature}",
        f"{header}.{claims}.{signature[::-1]}",
        f"{header}.{claims}.{signature[:-4]}",
    ):
        assert await refusal_code(authenticator, forged) in ("token_invalid", "token_malformed")
        assert await identify(authenticator, good) == "alice"
    assert await identify(authenticator, ".".join(other)) == "bob"


async def test_what_was_refused_is_not_remembered(open_authenticator: OpenAuthenticator) -> None:
    """A token may be refused today for its beginning, and accepted when that has come."""
    now = 1_000.0
    authenticator = await open_authenticator(secrets=[SECRET], clock=lambda: now)
    token = secret_signer().token("alice", iat=1_100, exp=2_000)
    for _ in range(2):
        assert await refusal_code(authenticator, token) == "token_not_yet_valid"
    assert len(authenticator._remembered) == 0
    now = 1_200.0
    assert await identify(authenticator, token) == "alice"
    assert len(authenticator._remembered) == 1
