"""Verified tokens are remembered by their whole text, 10,000 at most."""

from __future__ import annotations

import gc
import sys

import pytest

from api.authenticators import OpenAuthenticator, identify, refusal_code
from api.tokens import Signer, b64, key_signer, secret_signer
from support.api_server import SECRET
from taskapi.auth import Authenticator

LIMIT = 10_000


async def memory_growth(authenticator: Authenticator, first: int, count: int) -> int:
    """Return by how many blocks the allocated memory grows with so many new tokens."""
    signer = secret_signer()
    gc.collect()  # of what earlier tests have left
    before = sys.getallocatedblocks()
    for number in range(first, first + count):
        user = f"user_{number}"
        assert await identify(authenticator, signer.token(user)) == user
    gc.collect()
    return sys.getallocatedblocks() - before


async def test_a_hundred_thousand_tokens_leave_memory_bounded(
    open_authenticator: OpenAuthenticator,
) -> None:
    """The control is the first part: up to the limit each token takes some memory."""
    authenticator = await open_authenticator(secrets=[SECRET])
    assert await memory_growth(authenticator, 0, LIMIT) > 2 * LIMIT
    assert await memory_growth(authenticator, LIMIT, 100_000 - LIMIT) < LIMIT / 2
    assert len(authenticator._remembered) == LIMIT


@pytest.mark.parametrize("signer", [secret_signer(), key_signer()], ids=["secret", "keys"])
async def test_a_token_that_shares_parts_with_a_remembered_one_is_refused(
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


async def test_a_refusal_is_not_remembered(open_authenticator: OpenAuthenticator) -> None:
    """A token that is not valid yet is accepted when its time has come."""
    now = 1_000.0
    authenticator = await open_authenticator(secrets=[SECRET], clock=lambda: now)
    token = secret_signer().token("alice", iat=1_100, exp=2_000)
    for _ in range(2):
        assert await refusal_code(authenticator, token) == "token_not_yet_valid"
    assert len(authenticator._remembered) == 0
    now = 1_200.0
    assert await identify(authenticator, token) == "alice"
    assert len(authenticator._remembered) == 1
