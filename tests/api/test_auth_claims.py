"""What a truly signed token may not say: for whom, until when, since when.

The server of the other way only never looks at the claims: there the token is simply not valid.
"""

from __future__ import annotations

import time
from typing import Any

import pytest

from api.refused_tokens import AssertRefused, Attack
from api.tokens import BASE, Signer, as_json


def saying(**claims: Any) -> Attack:
    return lambda signer, user: signer.token(user, **claims)


def in_seconds(seconds: float, *names: str) -> Attack:
    return lambda signer, user: signer.token(user, **dict.fromkeys(names, time.time() + seconds))


def expiring(exp: bytes) -> Attack:
    """A number that JSON can write and no float can hold."""

    def attack(signer: Signer, user: str) -> str:
        claims = as_json(signer.says(user, exp=...))[:-1] + b',"exp":' + exp + b"}"
        return signer.text(as_json(dict(signer.header)), claims)

    return attack


MALFORMED: dict[str, Attack] = {
    "no exp": saying(exp=...),
    "exp is null": saying(exp=None),
    "exp is a string": saying(exp="2099-01-01T00:00:00Z"),
    "exp is a number in a string": saying(exp="4102444800"),
    "exp is true": saying(exp=True),
    "exp is a list": saying(exp=[4102444800]),
    "exp is an object": saying(exp={"value": 4102444800}),
    "exp is 1e400": expiring(b"1e400"),
    "exp is -1e400": expiring(b"-1e400"),
    "exp of 400 digits": saying(exp=10**400),
    "nbf is null": saying(nbf=None),
    "nbf is a string": saying(nbf="0"),
    "nbf is false": saying(nbf=False),
    "iat is null": saying(iat=None),
    "iat is a string": saying(iat="now"),
    "iat is an object": saying(iat={}),
    "no sub": saying(sub=...),
    "sub is empty": saying(sub=""),
    "sub is null": saying(sub=None),
    "sub is a number": saying(sub=1),
    "sub is true": saying(sub=True),
    "sub is a list": lambda s, u: s.token(u, sub=[u]),
    "sub is an object": lambda s, u: s.token(u, sub={"id": u}),
    "sub of 256 characters": saying(sub="u" * 256),
    "sub with NUL": lambda s, u: s.token(u, sub=u + "\0"),
    "sub with a lone surrogate": lambda s, u: s.token(u, sub=u + "\ud800"),
    "sub with a line feed": lambda s, u: s.token(u, sub=u + "\n"),
    "sub with a tab": lambda s, u: s.token(u, sub="\t" + u),
    "sub with an escape": lambda s, u: s.token(u, sub=u + "\x1b[2J"),
    "sub with DEL": lambda s, u: s.token(u, sub=u + "\x7f"),
    "sub with a C1 control": lambda s, u: s.token(u, sub=u + "\x85"),
    "user_id is empty": saying(sub=..., user_id=""),
    "user_id is a number": saying(sub=..., user_id=7),
    "user_id of 256 characters": saying(sub=..., user_id="u" * 256),
    "user_id with NUL": saying(sub=..., user_id="u\0"),
    "another user_id": saying(user_id="somebody else"),
    "user_id is null beside sub": saying(user_id=None),
    "sub is null beside user_id": lambda s, u: s.token(u, sub=None, user_id=u),
    "user_id is a list beside sub": lambda s, u: s.token(u, user_id=[u]),
    "id instead of sub": lambda s, u: s.token(u, sub=..., id=u),
    "e-mail verification": saying(sub=..., email="alice@example.com", updateTo="a@b.example"),
    "session cookie": lambda s, u: s.token(u, sub=..., session={"userId": u}, user={"id": u}),
}
EXPIRED: dict[str, Attack] = {
    "yesterday": in_seconds(-86_400, "exp"),
    "just past the leeway": in_seconds(-31, "exp"),
    "at the beginning of time": saying(exp=0),
    "before it": saying(exp=-1),
    "a fraction": saying(exp=0.5),
    "least of all": saying(exp=-1e308),
}
EARLY: dict[str, Attack] = {
    "nbf tomorrow": in_seconds(86_400, "nbf"),
    "nbf past the leeway": in_seconds(60, "nbf"),
    "iat tomorrow": in_seconds(86_400, "iat"),
    "iat past the leeway": in_seconds(60, "iat"),
    "nbf far away": saying(nbf=1e300),
}
# The keys' tokens must name their issuer and whom they are for: BETTER_AUTH_URL.
FOREIGN: dict[str, Attack] = {
    "no iss": saying(iss=...),
    "iss is another": saying(iss="https://evil.example.com"),
    "iss is null": saying(iss=None),
    "iss is a list": saying(iss=[BASE]),
    "iss is longer": saying(iss=BASE + ".evil.example"),
    "iss is shorter": saying(iss=BASE[:-1]),
    "iss in capitals": saying(iss=BASE.upper()),
    "iss without encryption": saying(iss=BASE.replace("https", "http")),
    "iss with two slashes": saying(iss=BASE + "//"),
    "iss with a path": saying(iss=BASE + "/api/auth"),
    "no aud": saying(aud=...),
    "aud is null": saying(aud=None),
    "aud is another": saying(aud="https://evil.example.com"),
    "aud is an empty list": saying(aud=[]),
    "aud is a list of others": saying(aud=["a", "b", None, 1, [BASE]]),
    "aud is an object": saying(aud={BASE: True}),
    "id token": saying(aud="client-id", nonce="n", auth_time=0),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_token_whose_claims_are_wrong_is_malformed(
    name: str, assert_refused: AssertRefused
) -> None:
    assert_refused(MALFORMED[name], "token_malformed", elsewhere="token_invalid")


@pytest.mark.parametrize("name", EXPIRED)
def test_a_token_whose_time_is_over_has_expired(name: str, assert_refused: AssertRefused) -> None:
    assert_refused(EXPIRED[name], "token_expired", elsewhere="token_invalid")


@pytest.mark.parametrize("name", EARLY)
def test_a_token_whose_time_is_to_come_is_not_yet_valid(
    name: str, assert_refused: AssertRefused
) -> None:
    assert_refused(EARLY[name], "token_not_yet_valid", elsewhere="token_invalid")


@pytest.mark.parametrize("name", FOREIGN)
def test_a_token_of_or_for_another_service_is_invalid(
    name: str, assert_refused: AssertRefused
) -> None:
    assert_refused(FOREIGN[name], "token_invalid", by=["keys"])
