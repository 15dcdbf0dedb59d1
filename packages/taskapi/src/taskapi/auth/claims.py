"""What a verified token says, and whether it is said to us, now, of a user."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from taskapi.problems import (
    TOKEN_EXPIRED,
    TOKEN_INVALID,
    TOKEN_MALFORMED,
    TOKEN_NOT_YET_VALID,
    Problem,
)
from taskcore import InvalidInput
from taskcore.schemas import valid_owner

Claims = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Audience:
    """Who must have issued a token, and for whom; None for no matter who."""

    issuer: str | None
    audience: str | None

    def judge(self, claims: Claims) -> None:
        if self.issuer is not None and not _same(claims.get("iss"), self.issuer):
            raise Problem(TOKEN_INVALID, why="its issuer is another")
        if self.audience is not None:
            named = claims.get("aud")
            audiences = named if isinstance(named, list) else [named]
            if not any(_same(audience, self.audience) for audience in audiences):
                raise Problem(TOKEN_INVALID, why="its audience is another")


def expiry(claims: Claims, now: float, leeway: float) -> float:
    """When the token ends, leeway included; refused if that is past, or its time to come."""
    if "exp" not in claims:
        raise Problem(TOKEN_MALFORMED, why="it has no exp")
    ends = _moment(claims["exp"]) + leeway
    begins = [_moment(claims[name]) - leeway for name in ("nbf", "iat") if name in claims]
    if now >= ends:
        raise Problem(TOKEN_EXPIRED, why="its exp is past")
    if any(now < moment for moment in begins):
        raise Problem(TOKEN_NOT_YET_VALID, why="its nbf or iat is to come")
    return ends


def user_id(claims: Claims) -> str:
    """The subject; frontends that sign for themselves call it either name."""
    named = [claims[name] for name in ("sub", "user_id") if name in claims]
    if not named or any(name != named[0] for name in named):
        raise Problem(TOKEN_MALFORMED, why="it has no user id, or two that differ")
    try:
        user = valid_owner(named[0])
    except InvalidInput:
        raise Problem(TOKEN_MALFORMED, why="its user id is none") from None
    if any(unicodedata.category(character) == "Cc" for character in user):
        raise Problem(TOKEN_MALFORMED, why="its user id has control characters")
    return user


def _moment(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Problem(TOKEN_MALFORMED, why="a time in it is no number")
    try:
        moment = float(value)
    except OverflowError:
        moment = math.inf
    if not math.isfinite(moment):
        raise Problem(TOKEN_MALFORMED, why="a time in it is no number")
    return moment


def _same(named: object, wanted: str) -> bool:
    """Exactly equal, but for one trailing slash."""
    return isinstance(named, str) and named.removesuffix("/") == wanted.removesuffix("/")
