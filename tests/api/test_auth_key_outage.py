"""While the JWKS endpoint fails, known keys are used, but only up to the stale limit."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from api.authenticators import OpenAuthenticator, identify, refusal_code, wait_for_fetch
from api.jwks_server import JwksServer
from api.loop_clock import Clock
from api.tokens import ALGORITHMS, jwk, key_signer
from support.polling import wait_until_async
from taskapi.auth import Authenticator


def at_once(coroutine: Coroutine[Any, Any, str]) -> str:
    """Return the result of a coroutine that does not wait; fail if it does."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return str(end.value)
    coroutine.close()
    raise AssertionError("it waits")


@pytest.mark.parametrize("how", ["hangs", "hangs in the middle"])
async def test_a_token_of_a_known_key_waits_for_no_fetch(
    how: str, authenticator: Authenticator, jwks_server: JwksServer, clock: Clock
) -> None:
    jwks_server.behaves = how
    jwks_server.hang()
    await clock.forward(500)
    await wait_until_async(lambda: len(jwks_server.requests) == 2)
    for algorithm in ALGORITHMS:
        assert at_once(identify(authenticator, key_signer(algorithm).token(algorithm))) == algorithm
    assert (
        at_once(refusal_code(authenticator, key_signer().token("alice", exp=1))) == "token_expired"
    )
    assert len(jwks_server.requests) == 2
    with pytest.raises(AssertionError, match="it waits"):
        at_once(identify(authenticator, key_signer("EdDSA", 1).token("alice")))


async def test_known_keys_are_used_up_to_the_stale_limit(
    open_authenticator: OpenAuthenticator,
    jwks_server: JwksServer,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """After it, remembered tokens are refused too: their key may have been removed meanwhile."""
    authenticator = await open_authenticator(keys_url=jwks_server.url, stale_limit=3600)
    remembered = key_signer().token("alice")
    assert await identify(authenticator, remembered) == "alice"
    jwks_server.behaves = "500"
    await clock.forward(3500)
    await wait_until_async(lambda: len(caplog.records) == 1)
    assert await identify(authenticator, key_signer().token("bob")) == "bob"
    assert await identify(authenticator, remembered) == "alice"
    await clock.forward(120)
    await wait_until_async(lambda: len(caplog.records) == 2)
    assert await refusal_code(authenticator, remembered) == "keys_unavailable"
    assert await refusal_code(authenticator, key_signer().token("bob")) == "keys_unavailable"
    jwks_server.behaves = "ok"
    await clock.forward(31)
    assert await identify(authenticator, remembered) == "alice"


async def test_keys_end_at_the_stale_limit_while_a_fetch_hangs(
    open_authenticator: OpenAuthenticator, jwks_server: JwksServer, clock: Clock
) -> None:
    authenticator = await open_authenticator(keys_url=jwks_server.url, stale_limit=3600)
    jwks = authenticator.jwks
    assert jwks is not None
    await wait_until_async(lambda: jwks.loaded)
    jwks_server.hang()
    await clock.forward(3599)
    assert jwks.loaded
    await clock.forward(2)
    assert not jwks.loaded


async def test_a_removed_key_is_refused_after_the_next_fetch(
    authenticator: Authenticator, jwks_server: JwksServer, clock: Clock
) -> None:
    gone, stays = (key_signer(name).token("alice") for name in ("EdDSA", "ES256"))
    for token in (gone, stays):
        assert await identify(authenticator, token) == "alice"
    # A fetch of the same keys changes nothing.
    await clock.forward(500)
    await wait_for_fetch(authenticator, jwks_server, 2)
    assert await identify(authenticator, gone) == "alice"
    jwks_server.keys = [key for key in jwks_server.keys if key["kid"] != "EdDSA-0"]
    await clock.forward(500)
    await wait_for_fetch(authenticator, jwks_server, 3)
    assert await refusal_code(authenticator, gone) == "token_invalid"
    assert await refusal_code(authenticator, key_signer().token("alice")) == "token_invalid"
    assert await identify(authenticator, stays) == "alice"


async def test_a_new_key_with_the_same_id_replaces_the_old_one(
    authenticator: Authenticator, jwks_server: JwksServer, clock: Clock
) -> None:
    old, new = key_signer(), key_signer("EdDSA", 1, kid="EdDSA-0")
    assert await identify(authenticator, old.token("alice")) == "alice"
    assert await refusal_code(authenticator, new.token("alice")) == "token_invalid"
    jwks_server.keys = [jwk("EdDSA", 1, kid="EdDSA-0")]
    await clock.forward(500)
    await wait_for_fetch(authenticator, jwks_server, 2)
    assert await refusal_code(authenticator, old.token("alice")) == "token_invalid"
    assert await identify(authenticator, new.token("alice")) == "alice"


async def test_keys_that_are_made_after_the_start_are_used_soon(
    open_authenticator: OpenAuthenticator,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
    jwks_server: JwksServer,
) -> None:
    """Better Auth makes its first key with its first token, which may be long after the start."""
    made, jwks_server.keys = jwks_server.keys, []
    authenticator = await open_authenticator(keys_url=jwks_server.url)
    for failures in range(1, 8):
        await wait_until_async(lambda: len(caplog.records) == failures)  # noqa: B023
        await clock.forward(31)
    await wait_until_async(lambda: len(caplog.records) == 8)
    jwks_server.keys = made
    await clock.forward(1)
    await asyncio.sleep(0)
    assert await identify(authenticator, key_signer().token("alice")) == "alice"
