"""Signed tokens, correct or with one fault."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from support.api_server import SECRET

# Better Auth's base URL, which its tokens name as issuer and audience.
BASE = "https://app.example.com"
ALGORITHMS = ("EdDSA", "ES256", "ES512", "RS256", "PS256")
NOTHING: Mapping[str, Any] = {}


def b64(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode()


def as_json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def mac(secret: bytes, digest: Any = hashlib.sha256) -> Callable[[bytes], bytes]:
    return lambda signed: hmac.digest(secret, signed, digest)


def private_key(algorithm: str, number: int = 0) -> Any:
    """Return the key of this algorithm and number: the same one in the whole run."""
    return _made(algorithm, number)


@cache
def _made(algorithm: str, number: int) -> Any:
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    if algorithm == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    if algorithm == "ES512":
        return ec.generate_private_key(ec.SECP521R1())
    return rsa.generate_private_key(65537, 2048)


def key_id(algorithm: str, number: int = 0) -> str:
    return f"{algorithm}-{number}"


def jwk(algorithm: str, number: int = 0, **more: Any) -> dict[str, Any]:
    """Return the public key as Better Auth lists it."""
    public = private_key(algorithm, number).public_key()
    described: dict[str, Any] = jwt.get_algorithm_by_name(algorithm).to_jwk(public, as_dict=True)
    described.pop("key_ops", None)
    return {**described, "alg": algorithm, "kid": key_id(algorithm, number), **more}


@dataclass(frozen=True)
class Signer:
    """Signs tokens with this header, these claims and this function."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    sign: Callable[[bytes], bytes]

    def claims_for(self, user: str, /, **changes: Any) -> dict[str, Any]:
        """Return the claims of a token for this user; the value `...` leaves a claim out."""
        now = int(time.time())
        claims = {"sub": user, "iat": now, "exp": now + 600, **self.claims, **changes}
        return {name: value for name, value in claims.items() if value is not ...}

    def token(self, user: str, header: Mapping[str, Any] = NOTHING, /, **changes: Any) -> str:
        heads = {k: v for k, v in {**self.header, **header}.items() if v is not ...}
        return self.text(as_json(heads), as_json(self.claims_for(user, **changes)))

    def text(self, header: bytes, claims: bytes) -> str:
        """Return a token of exactly these bytes, with a correct signature."""
        signed = f"{b64(header)}.{b64(claims)}"
        return f"{signed}.{b64(self.sign(signed.encode()))}"


def secret_signer(secret: str | bytes = SECRET, **header: Any) -> Signer:
    """Return a signer with the shared secret."""
    key = secret.encode() if isinstance(secret, str) else secret
    return Signer({"alg": "HS256", "typ": "JWT", **header}, {}, mac(key))


def key_signer(algorithm: str = "EdDSA", number: int = 0, **header: Any) -> Signer:
    """Return a signer with a private key of this algorithm, like Better Auth."""
    signs = jwt.get_algorithm_by_name(algorithm).sign
    return Signer(
        {"alg": algorithm, "kid": key_id(algorithm, number), **header},
        {"iss": BASE, "aud": BASE},
        lambda signed: signs(signed, private_key(algorithm, number)),
    )
