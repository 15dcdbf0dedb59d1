"""No key verifies what another key or another algorithm signed, and no token brings its own key.

Apart from their signatures and from the listed header members, the tokens are correct.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode, urlsafe_b64decode
from collections.abc import Callable
from typing import Any, TypeAlias

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from api.authenticators import identify
from api.refused_tokens import AssertRefused
from api.tokens import ALGORITHMS, BASE, Signer, as_json, jwk, key_id, key_signer, mac, private_key
from api.tokens import secret_signer as with_secret
from support.api_server import SECRET
from taskapi.auth import Authenticator

Forged: TypeAlias = Callable[[], Signer]
ISSUED = {"iss": BASE, "aud": BASE}


def public_key(algorithm: str, encoding: Encoding) -> bytes:
    public = private_key(algorithm).public_key()
    encoded: bytes = public.public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)
    return encoded


def number(algorithm: str) -> bytes:
    listed = jwk(algorithm)
    return str(listed.get("x") or listed["n"]).encode()


def thumbprint(algorithm: str) -> bytes:
    listed = jwk(algorithm)
    needed = ("crv", "e", "kty", "n", "x", "y")
    return as_json({name: listed[name] for name in needed if name in listed})


# The forms in which a public key could be taken for a shared secret.
FORMS: dict[str, Callable[[str], bytes]] = {
    "PEM": lambda a: public_key(a, Encoding.PEM),
    "PEM without its last line feed": lambda a: public_key(a, Encoding.PEM).rstrip(),
    "PEM with CRLF": lambda a: public_key(a, Encoding.PEM).replace(b"\n", b"\r\n"),
    "DER": lambda a: public_key(a, Encoding.DER),
    "DER in base64": lambda a: b64encode(public_key(a, Encoding.DER)),
    "JWK": lambda a: as_json(jwk(a)),
    "JWK's needed members": thumbprint,
    "key set": lambda a: as_json({"keys": [jwk(a)]}),
    "number": number,
    "number's bytes": lambda a: urlsafe_b64decode(number(a) + b"=="),
    "key id": lambda a: key_id(a).encode(),
}


def hmac_with(secret: bytes, digest: Any = hashlib.sha256, **header: Any) -> Forged:
    return lambda: Signer({"alg": "HS256", **header}, ISSUED, mac(secret, digest))


def signed_as(algorithm: str, key: Callable[[], Any], **header: Any) -> Forged:
    """Sign by this algorithm with this key; the header may name another one."""
    signs = jwt.get_algorithm_by_name(algorithm).sign
    return lambda: Signer({"alg": algorithm, **header}, ISSUED, lambda text: signs(text, key()))


def key(algorithm: str, number: int = 0) -> Callable[[], Any]:
    return lambda: private_key(algorithm, number)


def with_key_id(key_id: object, **header: Any) -> Forged:
    """Sign with Better Auth's EdDSA key, with this key id in the header."""
    return lambda: key_signer(kid=key_id, **header)


FORGED: dict[str, Forged] = {
    "another secret": lambda: with_secret("x" * 40),
    "no secret": lambda: with_secret(""),
    "secret with a line feed": lambda: with_secret(SECRET + "\n"),
    "part of the secret": lambda: with_secret(SECRET[:32]),
    "secret in base64": lambda: with_secret(b64encode(SECRET.encode())),
    "HS384": hmac_with(SECRET.encode(), hashlib.sha384, alg="HS384"),
    "HS512": hmac_with(SECRET.encode(), hashlib.sha512, alg="HS512"),
    "SHA-512 as HS256": hmac_with(SECRET.encode(), hashlib.sha512),
    "secret under a key's algorithm": hmac_with(SECRET.encode(), alg="EdDSA", kid="EdDSA-0"),
    "RS512 of a listed key": signed_as("RS512", key("RS256"), kid="RS256-0"),
    "RS384 of a listed key": signed_as("RS384", key("RS256"), kid="RS256-0"),
    "PS512 of a listed key": signed_as("PS512", key("PS256"), kid="PS256-0"),
    "RS512 as RS256": signed_as("RS512", key("RS256"), kid="RS256-0", alg="RS256"),
    "PS256 of the key for RS256": signed_as("PS256", key("RS256"), kid="RS256-0"),
    "RS256 of the key for PS256": signed_as("RS256", key("PS256"), kid="PS256-0"),
    "PS256 as RS256": signed_as("PS256", key("RS256"), kid="RS256-0", alg="RS256"),
    "ES256K": signed_as("ES256K", lambda: ec.generate_private_key(ec.SECP256K1()), kid="ES256-0"),
    "ES256K as ES256": signed_as(
        "ES256K", lambda: ec.generate_private_key(ec.SECP256K1()), kid="ES256-0", alg="ES256"
    ),
    "ES384": signed_as("ES384", lambda: ec.generate_private_key(ec.SECP384R1()), kid="ES256-0"),
    "Ed448": signed_as("EdDSA", ed448.Ed448PrivateKey.generate, kid="EdDSA-0"),
    "EdDSA as HS256": signed_as("EdDSA", key("EdDSA"), kid="EdDSA-0", alg="HS256"),
    "EdDSA as ES256": signed_as("EdDSA", key("EdDSA"), kid="EdDSA-0", alg="ES256"),
    "ES512 as ES256": signed_as("ES512", key("ES512"), kid="ES512-0", alg="ES256"),
    "an unlisted key": signed_as("EdDSA", key("EdDSA", 1), kid="EdDSA-0"),
    "an unlisted key and its id": lambda: key_signer("EdDSA", 1),
    "another listed key's id": with_key_id("ES256-0"),
    "another algorithm's key and name": with_key_id("ES256-0", alg="ES256"),
    "no id": with_key_id(...),
    "id is null": with_key_id(None),
    "id is a number": with_key_id(0),
    "id is a list": with_key_id(["EdDSA-0"]),
    "id is an object": with_key_id({"kid": "EdDSA-0"}),
    "id is empty": with_key_id(""),
    "id in other letters": with_key_id("eddsa-0"),
    "id is a path": with_key_id("../../../dev/null"),
    "id is SQL": with_key_id("' OR 1=1 --"),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_signature_is_invalid(name: str, assert_refused: AssertRefused) -> None:
    signer = FORGED[name]()
    assert_refused(lambda _, user: signer.token(user), "token_invalid")


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256", "RS256"])
def test_a_public_key_is_not_accepted_as_the_secret(
    algorithm: str, name: str, assert_refused: AssertRefused
) -> None:
    signer = hmac_with(FORMS[name](algorithm), kid=key_id(algorithm))()
    assert_refused(lambda _, user: signer.token(user), "token_invalid")


async def test_the_same_keys_are_accepted_with_their_own_algorithms(
    authenticator: Authenticator,
) -> None:
    """The control: the secret and the keys of these tables are those of the authenticator."""
    assert (
        await identify(authenticator, hmac_with(SECRET.encode(), kid="EdDSA-0")().token("alice"))
        == "alice"
    )
    for algorithm in ALGORITHMS:
        signer = signed_as(algorithm, key(algorithm), kid=key_id(algorithm))()
        assert await identify(authenticator, signer.token("alice")) == "alice"
