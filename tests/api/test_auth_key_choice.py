"""Which keys of a key set are used: public, for signatures, strong enough, for one algorithm."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa, x25519

from api.authenticators import OpenAuthenticator, identify, refusal_code
from api.jwks_server import JwksServer
from api.tokens import as_json, b64, jwk, key_signer, private_key
from taskapi.auth.key_set import UnusableKeySet, parse

GOOD = jwk("ES256")
Make = Callable[[], dict[str, Any]]


def described(algorithm: str, private: Any) -> dict[str, Any]:
    made: dict[str, Any] = jwt.get_algorithm_by_name(algorithm).to_jwk(
        private.public_key(), as_dict=True
    )
    return made


def secrets_of(algorithm: str) -> dict[str, Any]:
    made: dict[str, Any] = jwt.get_algorithm_by_name(algorithm).to_jwk(
        private_key(algorithm), as_dict=True
    )
    return {k: v for k, v in made.items() if k != "key_ops"}


CRT = ("p", "q", "dp", "dq", "qi")


def half_private(member: str) -> dict[str, Any]:
    """A public key that shows one member of its private key; `d` is not there."""
    return jwk("RS256", **{member: secrets_of("RS256")[member]})


IGNORED: dict[str, Make] = {
    "a secret": lambda: {"kty": "oct", "k": b64(b"s" * 32), "alg": "HS256"},
    "for encryption": lambda: jwk("EdDSA", use="enc"),
    "use is null": lambda: jwk("EdDSA", use=None),
    "RSA of 1024 bits": lambda: described("RS256", rsa.generate_private_key(65537, 1024)),
    "private EdDSA": lambda: secrets_of("EdDSA"),
    "private ES256": lambda: secrets_of("ES256"),
    "private RSA": lambda: secrets_of("RS256"),
    "Ed448": lambda: described("EdDSA", ed448.Ed448PrivateKey.generate()),
    "X25519": lambda: {
        "kty": "OKP",
        "crv": "X25519",
        "x": b64(x25519.X25519PrivateKey.generate().public_key().public_bytes_raw()),
    },
    "P-384": lambda: described("ES384", ec.generate_private_key(ec.SECP384R1())),
    "secp256k1": lambda: described("ES256K", ec.generate_private_key(ec.SECP256K1())),
    "for another algorithm": lambda: jwk("EdDSA", alg="ES256"),
    "for a weaker hash": lambda: jwk("RS256", alg="RS1"),
    "for another strength": lambda: jwk("RS256", alg="RS512"),
    "not to verify with": lambda: jwk("EdDSA", key_ops=["sign"]),
    "for no operation": lambda: jwk("RS256", key_ops=[]),
    "operations are null": lambda: jwk("EdDSA", key_ops=None),
    "operations are a string": lambda: jwk("EdDSA", key_ops="verify"),
    "operations are an object": lambda: jwk("EdDSA", key_ops={"verify": True}),
    **{f"private RSA, only {name}": partial(half_private, name) for name in CRT},
    "EdDSA with a secret": lambda: jwk("EdDSA", k="AAAA"),
    "alg is null": lambda: jwk("EdDSA", alg=None),
    "alg is a list": lambda: jwk("EdDSA", alg=["EdDSA"]),
    "kty is null": lambda: {"kty": None},
    "unknown kty": lambda: {"kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA"},
    "kty is a list": lambda: {"kty": ["OKP"]},
    "kty is an object": lambda: {"kty": {}},
    "curve is a list": lambda: {"kty": "EC", "crv": ["P-256"]},
    "curve of another kty": lambda: jwk("EdDSA", kty="EC"),
    "no coordinate": lambda: {k: v for k, v in jwk("EdDSA").items() if k != "x"},
    "coordinate is a number": lambda: jwk("EdDSA", x=1),
    "coordinate is too short": lambda: jwk("EdDSA", x="AAAA"),
    "coordinate is no base64": lambda: jwk("EdDSA", x="\u00fc"),
    "not on the curve": lambda: jwk("ES256", x=b64(b"\1" * 32)),
    "modulus is 0": lambda: jwk("RS256", n="AA"),
    "exponent is 1": lambda: jwk("RS256", e="AQ"),
    "exponent is even": lambda: jwk("RS256", e="Ag"),
    "modulus is a list": lambda: jwk("RS256", n=[]),
}


@pytest.mark.parametrize("name", IGNORED)
def test_an_unusable_key_is_ignored_and_the_others_are_used(name: str) -> None:
    bad = {**IGNORED[name](), "kid": "bad"}
    assert set(parse(as_json({"keys": [bad, GOOD]}))) == {GOOD["kid"]}
    assert set(parse(as_json({"keys": [GOOD, bad]}))) == {GOOD["kid"]}
    assert parse(as_json({"keys": [bad]})) == {}


@pytest.mark.parametrize("kid", [None, 1, [], {}, ...], ids=repr)
def test_a_key_without_an_id_is_ignored(kid: object) -> None:
    key = {name: value for name, value in jwk("EdDSA", kid=kid).items() if value is not ...}
    assert set(parse(as_json({"keys": [key, GOOD]}))) == {GOOD["kid"]}


@pytest.mark.parametrize("junk", [None, 1, "key", [], [[]]], ids=repr)
def test_an_entry_that_is_not_a_key_is_ignored(junk: object) -> None:
    assert set(parse(json.dumps({"keys": [junk, GOOD]}).encode())) == {GOOD["kid"]}


USED: dict[str, tuple[Make, tuple[str, ...]]] = {
    "as listed": (lambda: jwk("EdDSA"), ("EdDSA",)),
    "with the newer name of its algorithm": (lambda: jwk("EdDSA", alg="Ed25519"), ("EdDSA",)),
    "for signatures": (lambda: jwk("EdDSA", use="sig"), ("EdDSA",)),
    "to verify with": (lambda: jwk("EdDSA", key_ops=["verify"]), ("EdDSA",)),
    "for more operations": (lambda: jwk("RS256", key_ops=["sign", "verify"]), ("RS256",)),
    "with more members": (lambda: jwk("EdDSA", x5c=["x"], x5u="http://x", created=1), ("EdDSA",)),
    "ES512": (lambda: jwk("ES512"), ("ES512",)),
    "PS256": (lambda: jwk("PS256"), ("PS256",)),
    "RSA with the member of another kty": (lambda: jwk("RS256", crv="P-256"), ("RS256",)),
    "RSA, not bound": (
        lambda: {name: value for name, value in jwk("RS256").items() if name != "alg"},
        ("RS256", "PS256"),
    ),
}


@pytest.mark.parametrize("name", USED)
def test_a_key_is_used_for_its_own_algorithm(name: str) -> None:
    """The control."""
    make, algorithms = USED[name]
    key = make()
    assert parse(as_json({"keys": [key]}))[key["kid"]].algorithms == algorithms


NO_SETS: dict[str, tuple[bytes, str]] = {
    "HTML": (b"<!doctype html>", "it is not JSON"),
    "another encoding": (as_json({"keys": [GOOD]}).decode().encode("utf-16"), "it is not JSON"),
    "too deep": (b"[" * 200_000, "it is not JSON"),
    "a list": (as_json([GOOD]), "it has no list of keys"),
    "keys are an object": (as_json({"keys": {"a": GOOD}}), "it has no list of keys"),
    "one id twice": (
        as_json({"keys": [GOOD, jwk("EdDSA", kid=GOOD["kid"])]}),
        "two keys have one id",
    ),
}


@pytest.mark.parametrize("name", NO_SETS)
def test_what_is_wrong_with_a_document_is_said(name: str) -> None:
    content, reason = NO_SETS[name]
    with pytest.raises(UnusableKeySet, match=f"^{reason}$"):
        parse(content)


async def test_a_token_signed_with_a_short_rsa_key_is_refused(
    open_authenticator: OpenAuthenticator, jwks_server: JwksServer
) -> None:
    short, long = rsa.generate_private_key(65537, 1024), private_key("RS256", 1)
    for kid, private in (("short", short), ("long", long)):
        jwks_server.keys.append({**described("RS256", private), "kid": kid, "alg": "RS256"})
    authenticator = await open_authenticator(keys_url=jwks_server.url)
    signs = jwt.get_algorithm_by_name("RS256").sign
    for kid, private in (("short", short), ("long", long)):
        token = key_signer("RS256", kid=kid).token("alice").rpartition(".")[0]
        signed = f"{token}.{b64(signs(token.encode(), private))}"
        if kid == "short":
            assert await refusal_code(authenticator, signed) == "token_invalid"
        else:
            assert await identify(authenticator, signed) == "alice"
