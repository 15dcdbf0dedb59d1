"""Ed25519 keys that are points of small order, second encodings of a point, or no point."""

from __future__ import annotations

from functools import cache
from typing import Any, TypeAlias

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from hypothesis import given
from hypothesis import strategies as st

from api.authenticators import OpenAuthenticator, identify, refusal_code
from api.jwks_server import JwksServer
from api.tokens import BASE, Signer, as_json, b64, jwk, key_signer
from api.weak_keys import assert_weak
from taskapi.auth import key_set
from taskapi.auth.key_set import parse

P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P
ORDER = 2**252 + 27742317777372353535851937790883648493
Point: TypeAlias = tuple[int, int]
NEUTRAL: Point = (0, 1)


def add(a: Point, b: Point) -> Point:
    product = D * a[0] * b[0] * a[1] * b[1] % P
    x = (a[0] * b[1] + b[0] * a[1]) * pow(1 + product, -1, P)
    y = (a[1] * b[1] + a[0] * b[0]) * pow(1 - product, -1, P)
    return x % P, y % P


def times(factor: int, point: Point) -> Point:
    result = NEUTRAL
    for bit in f"{factor:b}":
        result = add(result, result)
        if bit == "1":
            result = add(result, point)
    return result


def x_of(y: int) -> int | None:
    """One of the two x of this y, if there is a point."""
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    root = pow(square, (P + 3) // 8, P)
    for candidate in (root, root * pow(2, (P - 1) // 4, P) % P):
        if candidate * candidate % P == square:
            return candidate
    return None


def encoded(x: int, y: int) -> bytes:
    return (y | (x & 1) << 255).to_bytes(32, "little")


@cache
def small_order_points() -> tuple[Point, ...]:
    """The eight points whose order divides the cofactor: multiples of one of order 8."""
    y = 2
    while True:
        x = x_of(y)
        point = times(ORDER, (x, y)) if x is not None else NEUTRAL
        if times(4, point) != NEUTRAL:
            return tuple(times(factor, point) for factor in range(8))
        y += 1


def ed25519_jwk(content: bytes) -> dict[str, Any]:
    return jwk("EdDSA", x=b64(content), kid="bad")


SECOND_ENCODINGS = {
    "y is 1 and x is -0": encoded(1, 1),
    "y is -1 and x is -0": encoded(1, P - 1),
    **{f"y is {y} and over P": encoded(sign, P + y) for y in (0, 1, 3, 18) for sign in (0, 1)},
}


def test_there_are_eight_points_of_small_order() -> None:
    points = small_order_points()
    assert len({encoded(*point) for point in points}) == 8
    assert {times(8, point) for point in points} == {NEUTRAL}


@pytest.mark.parametrize("number", range(8))
def test_a_point_of_small_order_is_no_key(number: int) -> None:
    assert_weak(ed25519_jwk(encoded(*small_order_points()[number])))


@pytest.mark.parametrize("name", SECOND_ENCODINGS)
def test_a_second_encoding_of_a_point_is_no_key(name: str) -> None:
    assert_weak(ed25519_jwk(SECOND_ENCODINGS[name]))


def test_what_is_no_point_is_no_key() -> None:
    y = next(y for y in range(2, 100) if x_of(y) is None)
    assert_weak(ed25519_jwk(encoded(0, y)))


@pytest.mark.parametrize("exists", [True, False])
@given(start=st.integers(2, P - 1_000), sign=st.integers(0, 1))
def test_every_other_point_counts_and_no_other_number(exists: bool, start: int, sign: int) -> None:
    """Points of the whole curve: real keys are all in one of its subgroups."""
    y = next(y for y in range(start, start + 500) if (x_of(y) is not None) == exists)
    key = ed25519_jwk((y | sign << 255).to_bytes(32, "little"))
    assert bool(parse(as_json({"keys": [key]}))) == exists


@given(st.binary(min_size=32, max_size=32))
def test_every_real_ed25519_key_counts(seed: bytes) -> None:
    public = ed25519.Ed25519PrivateKey.from_private_bytes(seed).public_key()
    key = jwk("EdDSA", x=b64(public.public_bytes_raw()))
    assert set(parse(as_json({"keys": [key]}))) == {key["kid"]}


@pytest.mark.parametrize("with_mend", [True, False])
async def test_a_token_that_no_private_key_signed(
    with_mend: bool,
    open_authenticator: OpenAuthenticator,
    jwks_server: JwksServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the neutral point as key, one signature fits every token."""
    if not with_mend:
        monkeypatch.setattr(key_set, "is_weak", lambda _: False)
    neutral = encoded(*NEUTRAL)
    jwks_server.keys.append(ed25519_jwk(neutral))
    authenticator = await open_authenticator(keys_url=jwks_server.url)
    header = {"alg": "EdDSA", "kid": "bad"}
    forged = Signer(header, {"iss": BASE, "aud": BASE}, lambda _: neutral + bytes(32))
    if with_mend:
        assert await refusal_code(authenticator, forged.token("alice")) == "token_invalid"
    else:
        assert await identify(authenticator, forged.token("alice")) == "alice"
    assert await identify(authenticator, key_signer().token("alice")) == "alice"
