"""Claims for which a correctly signed token is refused: user, times, issuer, audience.

A server with the other authentication method only does not read them: its code is `token_invalid`.
"""

from __future__ import annotations

import time
from typing import Any

import pytest

from api.refused_tokens import AssertRefused, Attack
from api.tokens import BASE, Signer, as_json


def with_claims(**claims: Any) -> Attack:
    return lambda signer, user: signer.token(user, **claims)


def in_seconds(seconds: float, *names: str) -> Attack:
    return lambda signer, user: signer.token(user, **dict.fromkeys(names, time.time() + seconds))


def expiring(exp: bytes) -> Attack:
    """Send an `exp` that JSON can write and no float can hold."""

    def attack(signer: Signer, user: str) -> str:
        claims = as_json(signer.claims_for(user, exp=...))[:-1] + b',"exp":' + exp + b"}"
        return signer.text(as_json(dict(signer.header)), claims)

    return attack


MALFORMED: dict[str, Attack] = {
    "no exp": with_claims(exp=...),
    "exp is null": with_claims(exp=None),
    "exp is a string": with_claims(exp="2099-01-01T00:00:00Z"),
    "exp is a number in a string": with_claims(exp="4102444800"),
    "exp is true": with_claims(exp=True),
    "exp is a list": with_claims(exp=[4102444800]),
    "exp is an object": with_claims(exp={"value": 4102444800}),
    "exp is 1e400": expiring(b"1e400"),
    "exp is -1e400": expiring(b"-1e400"),
    "exp of 400 digits": with_claims(exp=10**400),
    "nbf is null": with_claims(nbf=None),
    "nbf is a string": with_claims(nbf="0"),
    "nbf is false": with_claims(nbf=False),
    "iat is null": with_claims(iat=None),
    "iat is a string": with_claims(iat="now"),
    "iat is an object": with_claims(iat={}),
    "no sub": with_claims(sub=...),
    "sub is empty": with_claims(sub=""),
    "sub is null": with_claims(sub=None),
    "sub is a number": with_claims(sub=1),
    "sub is true": with_claims(sub=True),
    "sub is a list": lambda s, u: s.token(u, sub=[u]),
    "sub is an object": lambda s, u: s.token(u, sub={"id": u}),
    "sub of 256 characters": with_claims(sub="u" * 256),
    "sub with NUL": lambda s, u: s.token(u, sub=u + "\0"),
    "sub with a lone surrogate": lambda s, u: s.token(u, sub=u + "\ud800"),
    "sub with a line feed": lambda s, u: s.token(u, sub=u + "\n"),
    "sub with a tab": lambda s, u: s.token(u, sub="\t" + u),
    "sub with an escape": lambda s, u: s.token(u, sub=u + "\x1b[2J"),
    "sub with DEL": lambda s, u: s.token(u, sub=u + "\x7f"),
    "sub with a C1 control": lambda s, u: s.token(u, sub=u + "\x85"),
    "user_id is empty": with_claims(sub=..., user_id=""),
    "user_id is a number": with_claims(sub=..., user_id=7),
    "user_id of 256 characters": with_claims(sub=..., user_id="u" * 256),
    "user_id with NUL": with_claims(sub=..., user_id="u\0"),
    "another user_id": with_claims(user_id="user_2"),
    "user_id is null beside sub": with_claims(user_id=None),
    "sub is null beside user_id": lambda s, u: s.token(u, sub=None, user_id=u),
    "user_id is a list beside sub": lambda s, u: s.token(u, user_id=[u]),
    "id instead of sub": lambda s, u: s.token(u, sub=..., id=u),
    "e-mail verification": with_claims(sub=..., email="alice@example.com", updateTo="a@b.example"),
    "session cookie": lambda s, u: s.token(u, sub=..., session={"userId": u}, user={"id": u}),
}
EXPIRED: dict[str, Attack] = {
    "yesterday": in_seconds(-86_400, "exp"),
    "just past the leeway": in_seconds(-31, "exp"),
    "at 0": with_claims(exp=0),
    "before 1970": with_claims(exp=-1),
    "a fraction": with_claims(exp=0.5),
    "-1e308": with_claims(exp=-1e308),
}
EARLY: dict[str, Attack] = {
    "nbf tomorrow": in_seconds(86_400, "nbf"),
    "nbf past the leeway": in_seconds(60, "nbf"),
    "iat tomorrow": in_seconds(86_400, "iat"),
    "iat past the leeway": in_seconds(60, "iat"),
    "nbf is 1e300": with_claims(nbf=1e300),
}
# A token signed with a key must name BETTER_AUTH_URL as its issuer and audience.
FOREIGN: dict[str, Attack] = {
    "no iss": with_claims(iss=...),
    "iss is another": with_claims(iss="https://evil.example.com"),
    "iss is null": with_claims(iss=None),
    "iss is a list": with_claims(iss=[BASE]),
    "iss is longer": with_claims(iss=BASE + ".evil.example"),
    "iss is shorter": with_claims(iss=BASE[:-1]),
    "iss in capitals": with_claims(iss=BASE.upper()),
    "iss without encryption": with_claims(iss=BASE.replace("https", "http")),
    "iss with two slashes": with_claims(iss=BASE + "//"),
    "iss with a path": with_claims(iss=BASE + "/api/auth"),
    "no aud": with_claims(aud=...),
    "aud is null": with_claims(aud=None),
    "aud is another": with_claims(aud="https://evil.example.com"),
    "aud is an empty list": with_claims(aud=[]),
    "aud is a list of others": with_claims(aud=["a", "b", None, 1, [BASE]]),
    "aud is an object": with_claims(aud={BASE: True}),
    "id token": with_claims(aud="client-id", nonce="n", auth_time=0),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_token_with_a_wrong_claim_is_malformed(name: str, assert_refused: AssertRefused) -> None:
    assert_refused(MALFORMED[name], "token_malformed", elsewhere="token_invalid")


@pytest.mark.parametrize("name", EXPIRED)
def test_a_token_after_its_exp_is_expired(name: str, assert_refused: AssertRefused) -> None:
    assert_refused(EXPIRED[name], "token_expired", elsewhere="token_invalid")


@pytest.mark.parametrize("name", EARLY)
def test_a_token_before_its_nbf_or_iat_is_not_yet_valid(
    name: str, assert_refused: AssertRefused
) -> None:
    assert_refused(EARLY[name], "token_not_yet_valid", elsewhere="token_invalid")


@pytest.mark.parametrize("name", FOREIGN)
def test_a_token_with_another_issuer_or_audience_is_invalid(
    name: str, assert_refused: AssertRefused
) -> None:
    assert_refused(FOREIGN[name], "token_invalid", by=["keys"])
