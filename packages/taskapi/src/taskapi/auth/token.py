"""Decoding of a token, before verification: strict, so that one text has one meaning."""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import Any, NoReturn

from taskapi.problems import TOKEN_INVALID, TOKEN_MALFORMED, TOKEN_NOT_JWT, Problem

MAX_LENGTH = 8 * 1024

_FORM = re.compile(rb"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
# Better Auth signs session cookies, logout tokens and id tokens with the same keys; their `typ`
# differs from that of an API token.
_TYPES = ("JWT", "at+jwt")


@dataclass(frozen=True, slots=True)
class Token:
    """The three parts of a token, decoded."""

    algorithm: str
    key_id: object
    claims: dict[str, Any]
    signed: bytes
    signature: bytes


def well_formed(token: bytes) -> re.Match[bytes]:
    """Check the length and the three parts; 401 if they are wrong."""
    if len(token) > MAX_LENGTH:
        raise Problem(TOKEN_MALFORMED, reason=f"it is longer than {MAX_LENGTH} bytes")
    match = _FORM.fullmatch(token)
    if match is None:
        raise Problem(TOKEN_NOT_JWT, reason="it is no JWT (three base64url parts, with dots)")
    return match


def read(match: re.Match[bytes]) -> Token:
    """Decode the three parts; 401 for a `typ` or `crit` that no API token has."""
    header_part, claims_part, signature_part = match.groups()
    header = _object(_decoded(header_part))
    algorithm = header.get("alg")
    if "crit" in header or header.get("typ", "JWT") not in _TYPES:
        raise Problem(TOKEN_INVALID, reason="its typ or crit is not that of an API token")
    if not isinstance(algorithm, str):
        raise Problem(TOKEN_MALFORMED, reason="its alg is not a string")
    return Token(
        algorithm=algorithm,
        key_id=header.get("kid"),
        claims=_object(_decoded(claims_part)),
        signed=header_part + b"." + claims_part,
        signature=_decoded(signature_part),
    )


def _decoded(part: bytes) -> bytes:
    """Decode base64url without padding; 401 for another spelling of the same bytes."""
    try:
        decoded = urlsafe_b64decode(part + b"=" * (-len(part) % 4))
    except ValueError:
        raise Problem(TOKEN_MALFORMED, reason="a part of it is not base64url") from None
    if urlsafe_b64encode(decoded).rstrip(b"=") != part:
        raise Problem(TOKEN_MALFORMED, reason="a part of it is not canonical base64url")
    return decoded


def _object(content: bytes) -> dict[str, Any]:
    try:
        value = _DECODER.decode(content.decode("utf-8"))
    except (ValueError, RecursionError):
        raise Problem(TOKEN_MALFORMED, reason="a part of it is not strict JSON") from None
    if not isinstance(value, dict):
        raise Problem(TOKEN_MALFORMED, reason="a part of it is not a JSON object")
    return value


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a name occurs twice")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant)
