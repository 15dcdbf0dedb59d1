"""When keys are fetched: before they are too old, one fetch at a time, rarely for unknown ones."""

from __future__ import annotations

import asyncio
from contextlib import closing
from time import monotonic

import pytest

from api.authenticators import OpenAuthenticator, identify, refusal_code, wait_for_fetch
from api.jwks_server import JwksServer
from api.loop_clock import Clock
from api.tokens import as_json, b64, jwk, key_signer
from support.polling import wait_until_async
from support.ports import bound_socket, port_of
from taskapi.auth import Authenticator, jwks_client
from taskapi.auth.rate_limit import RateLimit
from taskapi.problems import Problem


def token_of_unknown_key(number: int) -> str:
    return key_signer(kid=f"invented {number}").token("alice")


async def test_fifty_tokens_of_an_unknown_key_cause_one_fetch(
    authenticator: Authenticator, jwks_server: JwksServer
) -> None:
    assert len(jwks_server.requests) == 1
    jwks_server.keys.append(jwk("EdDSA", 1))
    jwks_server.hang()
    signer = key_signer("EdDSA", 1)
    waiting = [
        asyncio.create_task(identify(authenticator, signer.token(f"u{n}"))) for n in range(50)
    ]
    await wait_until_async(lambda: len(jwks_server.requests) == 2)
    assert not any(task.done() for task in waiting)
    jwks_server.go_on()
    assert await asyncio.gather(*waiting) == [f"u{n}" for n in range(50)]
    assert len(jwks_server.requests) == 2


async def test_the_result_of_each_fetch_is_counted(
    authenticator: Authenticator,
    jwks_server: JwksServer,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    results: list[str] = []
    monkeypatch.setattr(jwks_client, "count_key_fetch", results.append)
    for behaves in ("ok", "no keys", "500"):
        jwks_server.behaves = behaves
        fetches = len(jwks_server.requests)
        await clock.forward(jwks_client.LIFETIME)
        await wait_for_fetch(authenticator, jwks_server, fetches + 1)
    assert results == ["ok", "empty", "failed"]


async def test_the_number_of_keys_and_their_age_are_known(
    open_authenticator: OpenAuthenticator, jwks_server: JwksServer
) -> None:
    jwks_server.hang()
    jwks = (await open_authenticator(keys_url=jwks_server.url)).jwks
    assert jwks is not None
    assert (jwks.count, jwks.age) == (0, None)
    before = monotonic()
    jwks_server.go_on()
    await wait_until_async(lambda: jwks.loaded)
    age = await asyncio.to_thread(lambda: jwks.age)  # as what collects metrics asks
    assert jwks.count == len(jwks_server.keys)
    assert age is not None
    assert 0 <= age <= monotonic() - before


async def test_ten_thousand_invented_keys_in_a_minute_cause_six_fetches_at_most(
    authenticator: Authenticator, jwks_server: JwksServer, clock: Clock
) -> None:
    """Three at once, then one in twenty seconds."""
    claims = key_signer().token("alice").partition(".")[2]
    for batch in range(100):
        for number in range(100):
            header = as_json({"alg": "EdDSA", "kid": f"invented {batch} {number}"})
            token = f"{b64(header)}.{claims}"
            assert await refusal_code(authenticator, token) == "token_invalid"
        await clock.forward(0.599)
    assert len(jwks_server.requests) - 1 in (5, 6)
    # The control: all of them were unknown, and without a limit each would cause a fetch.
    assert authenticator.jwks is not None
    authenticator.jwks._unknown_key_fetches = RateLimit(burst=10**6, interval=1)
    requests = len(jwks_server.requests)
    for number in range(20):
        assert await refusal_code(authenticator, token_of_unknown_key(number)) == "token_invalid"
    assert len(jwks_server.requests) == requests + 20


@pytest.mark.parametrize("with_mend", [True, False])
async def test_a_rotation_after_an_invented_key_refuses_no_user(
    with_mend: bool, authenticator: Authenticator, jwks_server: JwksServer
) -> None:
    """The control has no burst: one fetch in 30 s."""
    if not with_mend:
        assert authenticator.jwks is not None
        authenticator.jwks._unknown_key_fetches = RateLimit(burst=1, interval=30)
    assert await refusal_code(authenticator, token_of_unknown_key(1)) == "token_invalid"
    jwks_server.keys = [jwk("EdDSA", 1)]
    token = key_signer("EdDSA", 1).token("alice")
    if with_mend:
        assert await identify(authenticator, token) == "alice"
    else:
        assert await refusal_code(authenticator, token) == "token_invalid"


async def test_invented_keys_that_come_together_cause_two_fetches(
    authenticator: Authenticator, jwks_server: JwksServer
) -> None:
    """The first token's fetch, and one that started after the others came.

    The burst is left to other tokens; the control is the same tokens one after the other.
    """
    jwks_server.hang()
    waiting = [
        asyncio.create_task(refusal_code(authenticator, token_of_unknown_key(number)))
        for number in range(50)
    ]
    await wait_until_async(lambda: len(jwks_server.requests) == 2)
    jwks_server.go_on()
    assert set(await asyncio.gather(*waiting)) == {"token_invalid"}
    assert len(jwks_server.requests) == 3
    for number in range(50):
        assert await refusal_code(authenticator, token_of_unknown_key(number)) == "token_invalid"
    assert len(jwks_server.requests) == 4


@pytest.mark.parametrize("with_mend", [True, False])
async def test_a_token_that_finds_no_keys_hastens_the_next_fetch(
    with_mend: bool,
    open_authenticator: OpenAuthenticator,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The endpoint comes 70 s after the server, when the pauses are long.

    The control has no shorter pause for a token that waits.
    """
    if not with_mend:
        monkeypatch.setattr(jwks_client, "_SHORTEST_PAUSE", 30.0)
    token = key_signer().token("alice")
    with bound_socket() as bound:
        url = f"http://127.0.0.1:{port_of(bound)}/api/auth/jwks"
        authenticator = await open_authenticator(keys_url=url)
        jwks = authenticator.jwks
        assert jwks is not None
        for failures in range(1, 8):
            await wait_until_async(lambda: len(caplog.records) == failures)  # noqa: B023
            await clock.forward(31)
        await wait_until_async(lambda: len(caplog.records) == 8)
        with pytest.raises(Problem) as refused:
            await identify(authenticator, token)
        retry_after = refused.value.headers["Retry-After"]
        assert retry_after == ("1" if with_mend else "30")
        with closing(JwksServer([jwk("EdDSA")], bound)) as server:
            await clock.forward(2)
            if with_mend:  # without another token
                await wait_until_async(lambda: jwks.loaded)
                assert await identify(authenticator, token) == "alice"
            else:
                assert await refusal_code(authenticator, token) == "keys_unavailable"
                assert server.requests == []
                await clock.forward(28)
                await wait_until_async(lambda: jwks.loaded)


async def test_tokens_that_find_no_keys_cause_one_fetch_a_second(
    open_authenticator: OpenAuthenticator, jwks_server: JwksServer, clock: Clock
) -> None:
    jwks_server.behaves = "500"
    authenticator = await open_authenticator(keys_url=jwks_server.url)
    for seconds in range(1, 20):
        for number in range(5):
            assert (
                await refusal_code(authenticator, token_of_unknown_key(number))
                == "keys_unavailable"
            )
        await wait_for_fetch(authenticator, jwks_server, seconds)
        await clock.forward(1)


async def test_a_cancelled_request_does_not_cancel_the_fetch_of_others(
    authenticator: Authenticator, jwks_server: JwksServer
) -> None:
    jwks_server.keys.append(jwk("EdDSA", 1))
    jwks_server.hang()
    first, second = (
        asyncio.create_task(identify(authenticator, key_signer("EdDSA", 1).token(user)))
        for user in "ab"
    )
    await wait_until_async(lambda: len(jwks_server.requests) == 2)
    first.cancel()
    await asyncio.wait([first])
    jwks_server.go_on()
    assert await second == "b"
    assert first.cancelled()
    assert len(jwks_server.requests) == 2


async def test_a_key_that_is_added_during_a_fetch_is_found(
    authenticator: Authenticator, jwks_server: JwksServer, clock: Clock
) -> None:
    jwks_server.hang()
    await clock.forward(500)
    await wait_until_async(lambda: len(jwks_server.requests) == 2)
    jwks_server.keys.append(jwk("EdDSA", 1))
    signer = key_signer("EdDSA", 1)
    waiting = [
        asyncio.create_task(identify(authenticator, signer.token(f"u{n}"))) for n in range(5)
    ]
    await asyncio.sleep(0)
    jwks_server.go_on()
    assert await asyncio.gather(*waiting) == [f"u{n}" for n in range(5)]
    assert len(jwks_server.requests) == 3


async def test_keys_are_fetched_again_before_their_lifetime_ends(
    authenticator: Authenticator, jwks_server: JwksServer, clock: Clock
) -> None:
    """No request is needed for it: this test sends none."""
    assert authenticator.jwks is not None
    for fetches in range(1, 4):
        await clock.forward(400)
        await asyncio.sleep(0.01)
        assert len(jwks_server.requests) == fetches
        await clock.forward(190)
        await wait_for_fetch(authenticator, jwks_server, fetches + 1)


async def test_pauses_grow_after_failed_fetches(
    authenticator: Authenticator,
    jwks_server: JwksServer,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    jwks_server.behaves = "500"
    await clock.forward(500)
    await wait_until_async(lambda: len(caplog.records) == 1)
    for failures, pause in enumerate((1, 2, 4, 8, 16, 30, 30, 30), start=1):
        if pause >= 8:  # a shorter one could end in the real time that passes here
            await clock.forward(pause / 2)
            await asyncio.sleep(0.01)
            assert len(jwks_server.requests) == 1 + failures
        await clock.forward(pause)
        await wait_until_async(lambda: len(caplog.records) == failures + 1)  # noqa: B023
    assert len(jwks_server.requests) == 10
    jwks_server.behaves = "ok"
    await clock.forward(30)
    await wait_until_async(lambda: len(jwks_server.requests) == 11)
    assert await identify(authenticator, key_signer().token("alice")) == "alice"


async def test_fetches_go_on_after_1100_failures(
    open_authenticator: OpenAuthenticator, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """2.0 ** 1024 overflows, so the pause must not be a power of the number of failures."""
    with bound_socket() as bound:
        url = f"http://127.0.0.1:{port_of(bound)}/api/auth/jwks"
        authenticator = await open_authenticator(keys_url=url)
        for failures in range(1, 1101):
            await wait_until_async(lambda: len(caplog.records) == failures)  # noqa: B023
            await clock.forward(31)
        assert await refusal_code(authenticator, key_signer().token("alice")) == "keys_unavailable"
        with closing(JwksServer([jwk("EdDSA")], bound)):
            await clock.forward(31)
            jwks = authenticator.jwks
            await wait_until_async(lambda: jwks is not None and jwks.loaded)
            assert await identify(authenticator, key_signer().token("alice")) == "alice"
