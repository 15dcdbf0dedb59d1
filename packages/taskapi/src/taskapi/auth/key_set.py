"""A JWKS document: its public keys, each bound to the algorithms that it may be used with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jwt
from jwt.exceptions import PyJWTError

from .token import Token
from .weak_keys import is_weak

# RFC 9864 gives EdDSA with this curve a second name; tokens and key sets have either.
_ALIASES = {"Ed25519": "EdDSA"}
_OF_CURVE: dict[tuple[object, object], tuple[str, ...]] = {
    ("OKP", "Ed25519"): ("EdDSA",),
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-521"): ("ES512",),
    ("RSA", None): ("RS256", "PS256"),
}
_VERIFIERS = {
    name: jwt.get_algorithm_by_name(name) for names in _OF_CURVE.values() for name in names
}
ALGORITHMS = frozenset({*_VERIFIERS, *_ALIASES})
# Members of private keys; a set that shows one of them has shown the key.
_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


class UnusableKeySet(Exception):
    """The fetched document is not a key set."""


@dataclass(frozen=True, slots=True)
class Key:
    """A public key and the algorithms that it may be used with."""

    public: Any
    algorithms: tuple[str, ...]

    def verifies(self, token: Token) -> bool:
        """Whether this token was signed with the private key of this one."""
        algorithm = _ALIASES.get(token.algorithm, token.algorithm)
        if algorithm not in self.algorithms:
            return False
        return _VERIFIERS[algorithm].verify(token.signed, self.public, token.signature)


def parse(content: bytes) -> Mapping[str, Key]:
    """The usable keys of a JWKS document, by `kid`: none if it lists none."""
    try:
        document = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError):
        raise UnusableKeySet("it is not JSON") from None
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise UnusableKeySet("it has no list of keys")
    keys: dict[str, Key] = {}
    seen: set[str] = set()
    for jwk in listed:
        key_id = jwk.get("kid") if isinstance(jwk, dict) else None
        if not isinstance(key_id, str):
            continue
        if key_id in seen:
            raise UnusableKeySet("two keys have one id")
        seen.add(key_id)
        if (key := _key(jwk)) is not None:
            keys[key_id] = key
    return keys


def _key(jwk: Mapping[str, Any]) -> Key | None:
    """The key of a JWK; None if it is private, weak, not for signatures, or of another kind."""
    kind, curve = jwk.get("kty"), jwk.get("crv")
    if not isinstance(kind, str) or not isinstance(curve, str | None):
        return None
    algorithms = _OF_CURVE.get((kind, None if kind == "RSA" else curve), ())
    if "alg" in jwk:
        named = _ALIASES.get(jwk["alg"], jwk["alg"]) if isinstance(jwk["alg"], str) else None
        algorithms = tuple(name for name in algorithms if name == named)
    if not algorithms or not _is_for_verification(jwk) or not _PRIVATE_MEMBERS.isdisjoint(jwk):
        return None
    try:
        public = jwt.PyJWK.from_dict(dict(jwk), algorithms[0]).key
    except PyJWTError:
        return None
    return None if is_weak(public) else Key(public, algorithms)


def _is_for_verification(jwk: Mapping[str, Any]) -> bool:
    operations = jwk.get("key_ops", ["verify"])
    return (
        jwk.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations
    )
