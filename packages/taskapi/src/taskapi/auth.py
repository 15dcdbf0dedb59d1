"""The one door: a request becomes a user id, or a 401. Nothing else here looks at a token."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import jwt
from jwt import exceptions

from taskcore import InvalidInput
from taskcore.schemas import valid_owner

from .problems import (
    TOKEN_EXPIRED,
    TOKEN_INVALID,
    TOKEN_MALFORMED,
    TOKEN_MISSING,
    TOKEN_NOT_YET_VALID,
    Problem,
)

_LONGEST_TOKEN = 8 * 1024
_TOKEN = re.compile(rb"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)
_BEARER = b"bearer"
_TYPES = {None, "JWT", "at+jwt"}


class Door:
    """Verifies tokens that were signed with the secret that Better Auth and its frontends share."""

    def __init__(self, secret: str, *, leeway: float = 30) -> None:
        self._secret = secret.encode()
        self._leeway = leeway
        self._jwt = jwt.PyJWT(
            {
                "require": ["exp"],
                # A frontend that signs for itself rarely names an audience; one that it does name
                # is no reason to refuse it where none was configured.
                "verify_aud": False,
                "verify_sub": False,
                "verify_jti": False,
            }
        )

    def identify(self, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """The id of the user who sends these headers."""
        credentials = [value for name, value in headers if name == b"authorization"]
        if not credentials:
            raise Problem(TOKEN_MISSING)
        if len(credentials) > 1:
            raise Problem(TOKEN_MALFORMED)
        scheme, _, token = credentials[0].partition(b" ")
        if scheme.lower() != _BEARER:
            raise Problem(TOKEN_MISSING)
        token = token.strip(b" ")
        if not token:
            raise Problem(TOKEN_MISSING)
        if len(token) > _LONGEST_TOKEN or not _TOKEN.fullmatch(token):
            raise Problem(TOKEN_MALFORMED)
        return _user_id(self._claims(token))

    def _claims(self, token: bytes) -> dict[str, Any]:
        try:
            whole = self._jwt.decode_complete(
                token, self._secret, algorithms=["HS256"], leeway=self._leeway
            )
        except exceptions.ExpiredSignatureError:
            raise Problem(TOKEN_EXPIRED) from None
        except exceptions.ImmatureSignatureError:
            raise Problem(TOKEN_NOT_YET_VALID) from None
        except (exceptions.InvalidSignatureError, exceptions.InvalidAlgorithmError):
            raise Problem(TOKEN_INVALID) from None
        except (exceptions.PyJWTError, ValueError, TypeError, RecursionError):
            raise Problem(TOKEN_MALFORMED) from None
        if whole["header"].get("typ") not in _TYPES or "crit" in whole["header"]:
            raise Problem(TOKEN_INVALID)
        claims: dict[str, Any] = whole["payload"]
        return claims


def _user_id(claims: dict[str, Any]) -> str:
    subject, user_id = claims.get("sub"), claims.get("user_id")
    if subject is None:
        subject = user_id
    elif user_id is not None and user_id != subject:
        raise Problem(TOKEN_MALFORMED)
    try:
        return valid_owner(subject)
    except InvalidInput:
        raise Problem(TOKEN_MALFORMED) from None
