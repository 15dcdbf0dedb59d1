"""The limits of a token's times, to the second, with a fixed clock."""

from __future__ import annotations

import pytest

from api.authenticators import OpenAuthenticator, identify, refusal_code
from api.tokens import secret_signer
from support.api_server import SECRET

NOW = 2_000_000_000
LEEWAY = 30

# The claims of a token, and the code of its refusal, or None.
CASES: dict[str, tuple[dict[str, object], str | None]] = {
    "ends now": ({"exp": NOW}, None),
    "ended within the leeway": ({"exp": NOW - LEEWAY + 1}, None),
    "ended 1 ms within the leeway": ({"exp": NOW - LEEWAY + 0.001}, None),
    "ended at the leeway's end": ({"exp": NOW - LEEWAY}, "token_expired"),
    "ended past the leeway": ({"exp": NOW - LEEWAY - 1}, "token_expired"),
    "begins now": ({"nbf": NOW}, None),
    "begins at the leeway's end": ({"nbf": NOW + LEEWAY}, None),
    "begins past the leeway": ({"nbf": NOW + LEEWAY + 1}, "token_not_yet_valid"),
    "issued now": ({"iat": NOW}, None),
    "issued at the leeway's end": ({"iat": NOW + LEEWAY}, None),
    "issued past the leeway": ({"iat": NOW + LEEWAY + 1}, "token_not_yet_valid"),
    "issued long ago": ({"iat": 0, "nbf": 0}, None),
    "no iat and no nbf": ({"iat": ..., "nbf": ...}, None),
    "expired and not yet valid": ({"exp": NOW - 99, "nbf": NOW + 99}, "token_expired"),
}


@pytest.mark.parametrize("name", CASES)
async def test_the_leeway_is_exact(name: str, open_authenticator: OpenAuthenticator) -> None:
    claims, code = CASES[name]
    token = secret_signer().token("alice", **{"iat": NOW, "exp": NOW + 600, **claims})
    authenticator = await open_authenticator(
        secrets=[SECRET], leeway=LEEWAY, clock=lambda: float(NOW)
    )
    if code is None:
        assert await identify(authenticator, token) == "alice"
    else:
        assert await refusal_code(authenticator, token) == code


async def test_without_leeway_the_times_are_exact(
    open_authenticator: OpenAuthenticator,
) -> None:
    authenticator = await open_authenticator(secrets=[SECRET], leeway=0, clock=lambda: float(NOW))
    signer = secret_signer()
    assert await identify(authenticator, signer.token("alice", iat=NOW, exp=NOW + 1)) == "alice"
    assert (
        await refusal_code(authenticator, signer.token("alice", iat=NOW, exp=NOW))
        == "token_expired"
    )
    assert await refusal_code(authenticator, signer.token("alice", iat=NOW + 1, exp=NOW + 9)) == (
        "token_not_yet_valid"
    )


async def test_a_remembered_token_expires(open_authenticator: OpenAuthenticator) -> None:
    now = float(NOW)
    authenticator = await open_authenticator(secrets=[SECRET], leeway=LEEWAY, clock=lambda: now)
    short, other = (secret_signer().token("alice", iat=NOW, exp=NOW + 60, jti=n) for n in "ab")
    long = secret_signer().token("alice", iat=NOW, exp=NOW + 600)
    for token in (short, long, short, other):
        assert await identify(authenticator, token) == "alice"
    now = float(NOW + 60 + LEEWAY) - 0.001
    assert await identify(authenticator, short) == "alice"
    now = float(NOW + 60 + LEEWAY)
    for _ in range(2):
        assert await refusal_code(authenticator, short) == "token_expired"
        assert await identify(authenticator, long) == "alice"
    now += 1
    assert await refusal_code(authenticator, other) == "token_expired"
