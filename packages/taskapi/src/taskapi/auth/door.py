"""From the headers to the user: the order of checks, and the memory of what was verified."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from time import time

from taskapi.problems import TOKEN_EXPIRED, TOKEN_INVALID, TOKEN_MALFORMED, TOKEN_MISSING, Problem
from taskapi.settings import Settings

from . import claims, key_set, shared_secret
from .claims import Audience
from .key_client import KeyClient
from .shared_secret import SharedSecrets
from .token import Token, read, well_formed

# A verified token is remembered, because verification is the dearest step of a request.
_REMEMBERED = 10_000


class Door:
    """Lets in who has a token that one of the two ways, and only the one it names, verifies."""

    def __init__(
        self,
        *,
        secrets: list[str],
        keys_url: str | None = None,
        of_secret: Audience = Audience(None, None),  # noqa: B008 - frozen
        of_keys: Audience = Audience(None, None),  # noqa: B008
        leeway: float = 30,
        stale_limit: float = 86400,
        clock: Callable[[], float] = time,
    ) -> None:
        self._secrets = SharedSecrets(secrets) if secrets else None
        self.keys = (
            KeyClient(keys_url, stale_limit=stale_limit, on_change=self._forget)
            if keys_url is not None
            else None
        )
        self._of_secret = of_secret
        self._of_keys = of_keys
        self._leeway = leeway
        self._clock = clock
        self._remembered: dict[bytes, tuple[str, float]] = {}

    async def open(self) -> None:
        if self.keys is not None:
            await self.keys.open()

    async def close(self) -> None:
        if self.keys is not None:
            await self.keys.close()

    async def identify(self, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """The id of the user who sends these headers."""
        token = _bearer_token(headers)
        digest = hashlib.sha256(token).digest()
        known = self._remembered.get(digest)
        if known is not None:
            user, ends = known
            if self._clock() < ends:
                return user
            del self._remembered[digest]
            raise Problem(TOKEN_EXPIRED)
        user, ends = await self._verified(token)
        if len(self._remembered) >= _REMEMBERED:
            del self._remembered[next(iter(self._remembered))]
        self._remembered[digest] = (user, ends)
        return user

    async def _verified(self, text: bytes) -> tuple[str, float]:
        token = read(well_formed(text))
        audience = await self._signed(token)
        ends = claims.expiry(token.claims, self._clock(), self._leeway)
        audience.judge(token.claims)
        return claims.user_id(token.claims), ends

    async def _signed(self, token: Token) -> Audience:
        """Whose tokens this one is of, if it was really signed that way."""
        if self._secrets is not None and token.algorithm in shared_secret.ALGORITHMS:
            if self._secrets.signed(token):
                return self._of_secret
        elif self.keys is not None and token.algorithm in key_set.ALGORITHMS:
            key = await self.keys.key(token.key_id)
            if key is not None and key.signed(token):
                return self._of_keys
        raise Problem(TOKEN_INVALID, why="no secret or key that its alg may use has signed it")

    def _forget(self) -> None:
        self._remembered.clear()


def door_for(settings: Settings) -> Door:
    """The door that the settings describe."""
    named = Audience(settings.jwt_issuer, settings.jwt_audience)
    base = settings.better_auth_url
    return Door(
        secrets=[secret.get_secret_value() for secret in settings.secrets],
        keys_url=settings.keys_url,
        of_secret=named,
        of_keys=Audience(named.issuer or base, named.audience or base),
        leeway=settings.jwt_leeway,
        stale_limit=settings.jwks_stale_limit,
    )


def _bearer_token(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    credentials = [value for name, value in headers if name == b"authorization"]
    if len(credentials) > 1:
        raise Problem(TOKEN_MALFORMED, why="there are two Authorization headers")
    scheme, _, token = credentials[0].partition(b" ") if credentials else (b"", b"", b"")
    token = token.strip(b" ")
    if scheme.lower() != b"bearer" or not token:
        raise Problem(TOKEN_MISSING)
    return token
