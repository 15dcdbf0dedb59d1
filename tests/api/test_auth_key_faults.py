"""After a faulty answer of the JWKS endpoint the old keys stay, and none are taken from it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from api.authenticators import OpenAuthenticator, identify, refusal_code, wait_for_fetch
from api.jwks_server import EMPTY_SETS, FAULTS, JwksServer
from api.loop_clock import Clock
from api.tokens import jwk, key_signer, secret_signer
from support.polling import wait_until_async
from taskapi.auth import Authenticator, jwks_client
from taskapi.auth.key_set import Key, UnusableKeySet, parse

HANGING = ["hangs", "hangs in the middle"]


def refuse_empty(content: bytes) -> Mapping[str, Key]:
    """The parser without the mend: a set must have a key."""
    keys = parse(content)
    if not keys:
        raise UnusableKeySet("it has no usable key")
    return keys


@pytest.mark.parametrize("fault", FAULTS)
async def test_after_a_bad_answer_the_old_keys_stay(
    fault: str, authenticator: Authenticator, jwks_server: JwksServer, clock: Clock
) -> None:
    old, new = key_signer(), key_signer("EdDSA", 1)
    jwks_server.keys = [jwk("EdDSA", 1)]
    jwks_server.behaves = fault
    assert await refusal_code(authenticator, new.token("alice")) == "token_invalid"
    assert await identify(authenticator, old.token("alice")) == "alice"
    assert jwks_server.requests == ["/api/auth/jwks"] * 2
    # The control: a good answer replaces the old keys.
    jwks_server.behaves = "ok"
    await clock.forward(31)
    assert await identify(authenticator, new.token("alice")) == "alice"
    assert await refusal_code(authenticator, old.token("alice")) == "token_invalid"


@pytest.mark.parametrize("with_mend", [True, False])
@pytest.mark.parametrize("empty", EMPTY_SETS)
async def test_a_set_without_keys_is_an_answer(
    empty: str,
    with_mend: bool,
    authenticator: Authenticator,
    jwks_server: JwksServer,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Remembered tokens end with their keys; the control takes such a set for a failed fetch."""
    jwks = authenticator.jwks
    assert jwks is not None
    if not with_mend:
        monkeypatch.setattr(jwks_client, "parse", refuse_empty)
    remembered, new = key_signer().token("alice"), key_signer().token("bob")
    shared = secret_signer().token("carol")
    assert await identify(authenticator, remembered) == "alice"
    jwks_server.behaves = empty
    await clock.forward(500)
    await wait_for_fetch(authenticator, jwks_server, 2)
    if not with_mend:
        assert await identify(authenticator, remembered) == "alice"
        assert await identify(authenticator, new) == "bob"
        return
    assert not jwks.loaded
    for token in (remembered, new):
        assert await refusal_code(authenticator, token) == "keys_unavailable"
    assert await identify(authenticator, shared) == "carol"
    # The same empty set again changes nothing; the next set with keys does.
    await clock.forward(1)
    await wait_for_fetch(authenticator, jwks_server, 3)
    assert await refusal_code(authenticator, remembered) == "keys_unavailable"
    jwks_server.behaves = "ok"
    await clock.forward(1)
    await wait_until_async(lambda: jwks.loaded)
    assert await identify(authenticator, remembered) == "alice"


async def test_a_set_that_a_token_found_empty_is_asked_for_again_without_tokens(
    authenticator: Authenticator, jwks_server: JwksServer, clock: Clock
) -> None:
    """The next regular fetch would be minutes later, and until then the process is not ready."""
    jwks = authenticator.jwks
    assert jwks is not None
    jwks_server.behaves = "no keys"
    invented = key_signer(kid="invented").token("alice")
    assert await refusal_code(authenticator, invented) == "keys_unavailable"
    assert not jwks.loaded
    jwks_server.behaves = "ok"
    await clock.forward(1)
    await wait_until_async(lambda: jwks.loaded)


@pytest.mark.parametrize("fault", [*FAULTS, *EMPTY_SETS])
async def test_when_every_answer_is_bad_there_are_no_keys(
    fault: str, open_authenticator: OpenAuthenticator, jwks_server: JwksServer, clock: Clock
) -> None:
    jwks_server.behaves = fault
    authenticator = await open_authenticator(keys_url=jwks_server.url)
    jwks = authenticator.jwks
    assert jwks is not None
    for _ in range(3):
        assert await refusal_code(authenticator, key_signer().token("alice")) == "keys_unavailable"
        assert not jwks.loaded
    assert jwks_server.requests == ["/api/auth/jwks"], "the next fetch waits"
    # The control: a good answer brings the keys, and no request is needed for the fetch.
    jwks_server.behaves = "ok"
    await clock.forward(31)
    await wait_until_async(lambda: jwks.loaded)
    assert await identify(authenticator, key_signer().token("alice")) == "alice"


@pytest.mark.parametrize("how", HANGING)
async def test_a_fetch_whose_answer_hangs_times_out(
    how: str, authenticator: Authenticator, jwks_server: JwksServer, clock: Clock
) -> None:
    jwks_server.keys.append(jwk("EdDSA", 1))
    jwks_server.behaves = how
    jwks_server.hang()
    waiting = asyncio.create_task(
        refusal_code(authenticator, key_signer("EdDSA", 1).token("alice"))
    )
    await wait_until_async(lambda: len(jwks_server.requests) == 2)
    await asyncio.sleep(0.01)
    assert not waiting.done()
    await clock.forward(5)
    assert await waiting == "token_invalid"
    assert await identify(authenticator, key_signer().token("alice")) == "alice"
    # The control: an answer in time brings the key.
    jwks_server.behaves = "ok"
    jwks_server.go_on()
    await clock.forward(31)
    assert await identify(authenticator, key_signer("EdDSA", 1).token("alice")) == "alice"


async def test_a_fetch_whose_answer_comes_byte_by_byte_times_out(
    authenticator: Authenticator, jwks_server: JwksServer, clock: Clock
) -> None:
    """The timeout is for the whole answer, not for each byte."""
    jwks_server.keys.append(jwk("EdDSA", 1))
    jwks_server.behaves = "drips"
    jwks_server.hang()
    waiting = asyncio.create_task(
        refusal_code(authenticator, key_signer("EdDSA", 1).token("alice"))
    )
    for _ in range(2):
        dripped = jwks_server.drops
        await wait_until_async(lambda: jwks_server.drops > dripped + 3)  # noqa: B023
        assert not waiting.done()
        await clock.forward(3)
    assert await asyncio.wait_for(waiting, 30) == "token_invalid"
    assert await identify(authenticator, key_signer().token("alice")) == "alice"


async def test_a_key_set_of_the_largest_allowed_size_is_accepted(
    open_authenticator: OpenAuthenticator, jwks_server: JwksServer
) -> None:
    """The control of "a byte too large": a key set of exactly 256 KiB."""
    room = 256 * 1024 - len(jwks_server.document) - len(', {"pad": ""}')
    jwks_server.keys.append({"pad": "x" * room})
    assert len(jwks_server.document) == 256 * 1024
    authenticator = await open_authenticator(keys_url=jwks_server.url)
    assert await identify(authenticator, key_signer().token("alice")) == "alice"
