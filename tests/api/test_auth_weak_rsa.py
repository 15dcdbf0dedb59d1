"""RSA keys whose modulus is even, has a small factor, or was made by the generator of ROCA."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from api.authenticators import OpenAuthenticator, identify, refusal_code
from api.jwks_server import JwksServer
from api.tokens import BASE, Signer, as_json, b64, jwk, key_signer
from api.weak_keys import assert_weak
from taskapi.auth import key_set
from taskapi.auth.key_set import parse

# The product of the first 126 primes, which the faulty generator takes for keys of 2048 bits.
PRIMES = [p for p in range(2, 702) if all(p % divisor for divisor in range(2, p))]
M = math.prod(PRIMES)


def roca_prime() -> int:
    """A prime of 1024 bits of the faulty generator's form: k * M + 65537**a mod M."""
    while True:
        remainder = pow(65537, secrets.randbelow(M), M)
        lowest, highest = 3 * 2**1022 // M + 1, 2**1024 // M - 1
        candidate = (lowest + secrets.randbelow(highest - lowest)) * M + remainder
        if candidate % 65537 != 1 and pow(2, candidate - 1, candidate) == 1:
            return candidate


@cache
def roca_key() -> rsa.RSAPrivateKey:
    """A key whose modulus leaves 3 when it is divided by 4, as no power of 65537 does."""
    p, e = roca_prime(), 65537
    while (q := roca_prime()) % 4 == p % 4:
        pass
    d = pow(e, -1, (p - 1) * (q - 1))
    public = rsa.RSAPublicNumbers(e, p * q)
    crt = rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q)
    return rsa.RSAPrivateNumbers(p, q, d, *crt, public).private_key()


def rsa_jwk(modulus: int) -> dict[str, Any]:
    return jwk("RS256", n=b64(modulus.to_bytes(-(-modulus.bit_length() // 8))), kid="bad")


def modulus_of(key: dict[str, Any]) -> int:
    numbers = jwt.PyJWK.from_dict(key, "RS256").key.public_numbers()
    return int(numbers.n)


def without_small_factors(start: int) -> int:
    """The first number from here on that is a product of large primes only."""
    return next(n for n in range(start, start + 10_000) if math.gcd(n, M) == 1)


def multiple(factor: int) -> int:
    return factor * modulus_of(jwk("RS256"))


MODULI: dict[str, Callable[[], int]] = {
    "ROCA": lambda: roca_key().public_key().public_numbers().n,
    **{f"a multiple of {p}": partial(multiple, p) for p in (2, 3, 5, 7, 167)},
}


@pytest.mark.parametrize("name", MODULI)
def test_a_weak_modulus_is_no_key(name: str) -> None:
    key = rsa_jwk(MODULI[name]())
    assert modulus_of(key).bit_length() >= 2048, "it is not its length"
    assert_weak(key)


@pytest.mark.parametrize("with_mend", [True, False])
async def test_a_token_of_a_roca_key(
    with_mend: bool,
    open_authenticator: OpenAuthenticator,
    jwks_server: JwksServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its private key can be computed from the public one; the libraries take it."""
    if not with_mend:
        monkeypatch.setattr(key_set, "is_weak", lambda _: False)
    private = roca_key()
    jwks_server.keys.append(rsa_jwk(private.public_key().public_numbers().n))
    authenticator = await open_authenticator(keys_url=jwks_server.url)
    signs = jwt.get_algorithm_by_name("RS256").sign
    header = {"alg": "RS256", "kid": "bad"}
    signer = Signer(header, {"iss": BASE, "aud": BASE}, lambda signed: signs(signed, private))
    if with_mend:
        assert await refusal_code(authenticator, signer.token("alice")) == "token_invalid"
    else:
        assert await identify(authenticator, signer.token("alice")) == "alice"
    assert await identify(authenticator, key_signer("RS256").token("alice")) == "alice"


@given(st.integers(2**2047, 2**2048 - 10_000))
def test_other_moduli_count(start: int) -> None:
    """What a modulus of another generator looks like modulo small primes; 1 in 2**28 is refused."""
    assert set(parse(as_json({"keys": [rsa_jwk(without_small_factors(start))]}))) == {"bad"}


@pytest.mark.parametrize("bits", [1024, 2047])
def test_a_short_modulus_is_no_key(bits: int) -> None:
    assert_weak(rsa_jwk(without_small_factors(2**bits - 10_000)))


@pytest.mark.parametrize("bits", [2048, 2049, 3072, 4096])
def test_a_modulus_may_be_longer(bits: int) -> None:
    """The control of the short ones."""
    key = rsa_jwk(without_small_factors(2**bits - 10_000))
    assert modulus_of(key).bit_length() == bits
    assert set(parse(as_json({"keys": [key]}))) == {"bad"}


@pytest.mark.parametrize("exponent", [3, 17, 65537])
def test_small_odd_exponents_count(exponent: int) -> None:
    key = jwk("RS256", e=b64(exponent.to_bytes(3).lstrip(b"\0")))
    assert set(parse(as_json({"keys": [key]}))) == {key["kid"]}
