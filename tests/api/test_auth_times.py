"""The edges of a token's time, to the second, by a clock that stands still."""

from __future__ import annotations

import pytest

from api.authenticators import OpenAuthenticator, identify, refusal_code
from api.tokens import secret_signer
from support.api_server import SECRET

NOW = 2_000_000_000
LEEWAY = 30

# The claims of a token, and the code that it is refused with, if it is.
EDGES: dict[str, tuple[dict[str, object], str | None]] = {
    "ends now": ({"exp": NOW}, None),
    "ended within the leeway": ({"exp": NOW - LEEWAY + 1}, None),
    "ended a moment within it": ({"exp": NOW - LEEWAY + 0.001}, None),
    "ended at its end": ({"exp": NOW - LEEWAY}, "token_expired"),
    "ended past it": ({"exp": NOW - LEEWAY - 1}, "token_expired"),
    "begins now": ({"nbf": NOW}, None),
    "begins at the leeway's end": ({"nbf": NOW + LEEWAY}, None),
    "begins past it": ({"nbf": NOW + LEEWAY + 1}, "token_not_yet_valid"),
    "issued now": ({"iat": NOW}, None),
    "issued at the leeway's end": ({"iat": NOW + LEEWAY}, None),
    "issued past it": ({"iat": NOW + LEEWAY + 1}, "token_not_yet_valid"),
    "issued long ago": ({"iat": 0, "nbf": 0}, None),
    "issued never": ({"iat": ..., "nbf": ...}, None),
    "over and to come": ({"exp": NOW - 99, "nbf": NOW + 99}, "token_expired"),
}


@pytest.mark.parametrize("name", EDGES)
async def test_the_leeway_is_exact(name: str, open_authenticator: OpenAuthenticator) -> None:
    said, code = EDGES[name]
    token = secret_signer().token("alice", **{"iat": NOW, "exp": NOW + 600, **said})
    authenticator = await open_authenticator(
        secrets=[SECRET], leeway=LEEWAY, clock=lambda: float(NOW)
    )
    if code is None:
        assert await identify(authenticator, token) == "alice"
    else:
        assert await refusal_code(authenticator, token) == code


async def test_without_leeway_a_token_ends_when_it_says(
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


async def test_a_remembered_token_ends_when_it_says(open_authenticator: OpenAuthenticator) -> None:
    now = float(NOW)
    authenticator = await open_authenticator(secrets=[SECRET], leeway=LEEWAY, clock=lambda: now)
    short = secret_signer().token("alice", iat=NOW, exp=NOW + 60)
    long = secret_signer().token("alice", iat=NOW, exp=NOW + 600)
    for token in (short, long, short):
        assert await identify(authenticator, token) == "alice"
    now = float(NOW + 60 + LEEWAY) - 0.001
    assert await identify(authenticator, short) == "alice"
    now = float(NOW + 60 + LEEWAY)
    for _ in range(2):
        assert await refusal_code(authenticator, short) == "token_expired"
        assert await identify(authenticator, long) == "alice"
