"""A token, read and not yet believed: strict about its form, so that one text has one meaning."""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import Any, NoReturn

from taskapi.problems import TOKEN_INVALID, TOKEN_MALFORMED, Problem

LONGEST = 8 * 1024

_FORM = re.compile(rb"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
# Better Auth signs session cookies, logout notices and id tokens with the same keys: what is no
# API token says so in its type.
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
    """The check before any decoding."""
    match = _FORM.fullmatch(token) if len(token) <= LONGEST else None
    if match is None:
        raise Problem(TOKEN_MALFORMED, why="it is too long, or not three base64url parts")
    return match


def read(match: re.Match[bytes]) -> Token:
    """Decode a token of the right form, and refuse what no header of ours may say."""
    header_part, claims_part, signature_part = match.groups()
    header = _object(_decoded(header_part))
    algorithm = header.get("alg")
    if "crit" in header or header.get("typ", "JWT") not in _TYPES:
        raise Problem(TOKEN_INVALID, why="its typ or crit is not that of an API token")
    if not isinstance(algorithm, str):
        raise Problem(TOKEN_MALFORMED, why="its alg is no text")
    return Token(
        algorithm=algorithm,
        key_id=header.get("kid"),
        claims=_object(_decoded(claims_part)),
        signed=header_part + b"." + claims_part,
        signature=_decoded(signature_part),
    )


def _decoded(part: bytes) -> bytes:
    """Base64url without padding, in the one spelling that its bytes have."""
    try:
        decoded = urlsafe_b64decode(part + b"=" * (-len(part) % 4))
    except ValueError:
        raise Problem(TOKEN_MALFORMED, why="a part of it is no base64url") from None
    if urlsafe_b64encode(decoded).rstrip(b"=") != part:
        raise Problem(TOKEN_MALFORMED, why="a part of it has a second spelling")
    return decoded


def _object(content: bytes) -> dict[str, Any]:
    try:
        value = _DECODER.decode(content.decode("utf-8"))
    except (ValueError, RecursionError):
        raise Problem(TOKEN_MALFORMED, why="a part of it is no strict JSON") from None
    if not isinstance(value, dict):
        raise Problem(TOKEN_MALFORMED, why="a part of it is no JSON object")
    return value


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a name stands twice")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant)
