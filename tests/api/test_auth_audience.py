"""Issuer, audience and user of a token, with both authentication methods."""

from __future__ import annotations

from typing import Any

import pytest

from api.authenticators import OpenAuthenticator, identify, refusal_code
from api.jwks_server import JwksServer
from api.tokens import ALGORITHMS, BASE, key_signer, secret_signer
from support.api_server import SECRET
from taskapi.auth import Authenticator
from taskapi.auth.claims import RequiredClaims

OURS = RequiredClaims("https://issuer.example", "our-api")

ACCEPTED: dict[str, dict[str, Any]] = {
    "exactly": {"iss": OURS.issuer, "aud": OURS.audience},
    "with a slash at the issuer's end": {"iss": f"{OURS.issuer}/", "aud": OURS.audience},
    "with a slash at the audience's end": {"iss": OURS.issuer, "aud": f"{OURS.audience}/"},
    "in a list": {"iss": OURS.issuer, "aud": ["other", OURS.audience]},
}
REFUSED: dict[str, dict[str, Any]] = {
    "no issuer": {"iss": ..., "aud": OURS.audience},
    "another issuer": {"iss": "https://evil.example", "aud": OURS.audience},
    "no audience": {"iss": OURS.issuer, "aud": ...},
    "another audience": {"iss": OURS.issuer, "aud": "other"},
    "a list of others": {"iss": OURS.issuer, "aud": ["other", "another"]},
    "two slashes": {"iss": f"{OURS.issuer}//", "aud": OURS.audience},
    "part of the audience": {"iss": OURS.issuer, "aud": "our"},
    "exchanged": {"iss": OURS.audience, "aud": OURS.issuer},
}
SIGNERS = {"secret": secret_signer(), "keys": key_signer()}


@pytest.fixture
async def strict(open_authenticator: OpenAuthenticator, jwks_server: JwksServer) -> Authenticator:
    """An authenticator that requires an issuer and an audience with both methods."""
    terms = {"secret_claims": OURS, "jwks_claims": OURS}
    return await open_authenticator(secrets=[SECRET], keys_url=jwks_server.url, **terms)


@pytest.mark.parametrize("auth_method", SIGNERS)
@pytest.mark.parametrize("name", ACCEPTED)
async def test_the_required_issuer_and_audience_are_accepted(
    name: str, auth_method: str, strict: Authenticator
) -> None:
    assert await identify(strict, SIGNERS[auth_method].token("alice", **ACCEPTED[name])) == "alice"


@pytest.mark.parametrize("auth_method", SIGNERS)
@pytest.mark.parametrize("name", REFUSED)
async def test_another_issuer_or_audience_is_refused(
    name: str, auth_method: str, strict: Authenticator
) -> None:
    assert (
        await refusal_code(strict, SIGNERS[auth_method].token("alice", **REFUSED[name]))
        == "token_invalid"
    )


async def test_a_slash_at_the_end_of_the_configured_names_is_ignored(
    open_authenticator: OpenAuthenticator, jwks_server: JwksServer
) -> None:
    authenticator = await open_authenticator(
        keys_url=jwks_server.url, jwks_claims=RequiredClaims(BASE + "/", BASE + "/")
    )
    assert await identify(authenticator, key_signer().token("alice")) == "alice"
    assert (
        await identify(authenticator, key_signer().token("bob", iss=BASE + "/", aud=[BASE + "/"]))
        == "bob"
    )


@pytest.mark.parametrize("audience", ["anything", ["any", "thing"], [], None, 7])
async def test_without_required_claims_a_shared_secret_token_may_name_any_audience(
    audience: object, authenticator: Authenticator
) -> None:
    assert (
        await identify(authenticator, secret_signer().token("alice", aud=audience, iss="me"))
        == "alice"
    )
    assert (
        await refusal_code(authenticator, key_signer().token("alice", aud=audience))
        == "token_invalid"
    )


@pytest.mark.parametrize("claims", [{"user_id": "alice"}, {"sub": ..., "user_id": "alice"}])
@pytest.mark.parametrize("auth_method", SIGNERS)
async def test_the_user_id_is_read_from_sub_or_user_id_or_both(
    auth_method: str, claims: dict[str, Any], authenticator: Authenticator
) -> None:
    assert await identify(authenticator, SIGNERS[auth_method].token("alice", **claims)) == "alice"


@pytest.mark.parametrize("algorithm", [*ALGORITHMS, "Ed25519"])
async def test_each_algorithm_is_accepted(algorithm: str, authenticator: Authenticator) -> None:
    signer = key_signer(algorithm) if algorithm != "Ed25519" else key_signer(alg="Ed25519")
    assert await identify(authenticator, signer.token("alice")) == "alice"


@pytest.mark.parametrize("typ", ["JWT", "at+jwt", ...])
@pytest.mark.parametrize("auth_method", SIGNERS)
async def test_each_type_of_an_api_token_is_accepted(
    auth_method: str, typ: object, authenticator: Authenticator
) -> None:
    assert (
        await identify(authenticator, SIGNERS[auth_method].token("alice", {"typ": typ})) == "alice"
    )


@pytest.mark.parametrize("user", ["u", "u" * 255, "ü@例", "a b", "123", "\U0001f600", "auth0|x"])
@pytest.mark.parametrize("auth_method", SIGNERS)
async def test_each_allowed_user_id_is_accepted(
    auth_method: str, user: str, authenticator: Authenticator
) -> None:
    assert await identify(authenticator, SIGNERS[auth_method].token(user)) == user
