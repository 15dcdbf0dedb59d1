"""The checks of a verified token's claims: issuer, audience, times and user id."""

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
from taskcore.owner import valid_owner

Claims = Mapping[str, Any]

_LONGEST_SHOWN = 200


@dataclass(frozen=True, slots=True)
class RequiredClaims:
    """The `iss` and `aud` that a token must have; None where any value, or none, is accepted.

    Beside each is the variable that sets it, for the reason that `taskcli token --inspect` prints.
    """

    issuer: str | None
    audience: str | None
    issuer_variable: str = ""
    audience_variable: str = ""

    def check(self, claims: Claims) -> None:
        if self.issuer is not None and not _equal(claims.get("iss"), self.issuer):
            reason = _differs("issuer (iss)", claims.get("iss"), self.issuer, self.issuer_variable)
            raise Problem(TOKEN_INVALID, reason=reason)
        if self.audience is not None:
            named = claims.get("aud")
            audiences = named if isinstance(named, list) else [named]
            if not any(_equal(audience, self.audience) for audience in audiences):
                reason = _differs("audience (aud)", named, self.audience, self.audience_variable)
                raise Problem(TOKEN_INVALID, reason=reason)


def valid_until(claims: Claims, now: float, leeway: float) -> float:
    """The time until which the token is valid, leeway included; 401 if it is not valid now."""
    if "exp" not in claims:
        raise Problem(TOKEN_MALFORMED, reason="it has no exp")
    until = _moment(claims["exp"]) + leeway
    begins = [_moment(claims[name]) - leeway for name in ("nbf", "iat") if name in claims]
    if now >= until:
        raise Problem(TOKEN_EXPIRED, reason="its exp is past")
    if any(now < moment for moment in begins):
        raise Problem(TOKEN_NOT_YET_VALID, reason="its nbf or iat is in the future")
    return until


def user_id(claims: Claims) -> str:
    """The claim `sub`, or `user_id`: frontends that sign tokens themselves send either."""
    named = [claims[name] for name in ("sub", "user_id") if name in claims]
    if not named or any(name != named[0] for name in named):
        raise Problem(TOKEN_MALFORMED, reason="it has no user id, or two that differ")
    try:
        user = valid_owner(named[0])
    except InvalidInput:
        raise Problem(TOKEN_MALFORMED, reason="its user id is not valid") from None
    if any(unicodedata.category(character) == "Cc" for character in user):
        raise Problem(TOKEN_MALFORMED, reason="its user id has control characters")
    return user


def _moment(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Problem(TOKEN_MALFORMED, reason="a time in it is not a number")
    try:
        moment = float(value)
    except OverflowError:
        moment = math.inf
    if not math.isfinite(moment):
        raise Problem(TOKEN_MALFORMED, reason="a time in it is not a number")
    return moment


def _differs(name: str, found: object, wanted: str, variable: str) -> str:
    has = "missing" if found is None else repr(found)[:_LONGEST_SHOWN]
    return f"its {name} is {has}, and {wanted!r} is wanted ({variable})"


def _equal(named: object, wanted: str) -> bool:
    """Whether they are equal; one trailing slash on either side is ignored."""
    return isinstance(named, str) and named.removesuffix("/") == wanted.removesuffix("/")
