"""The authenticator: the order of a token's checks, and the memory of verified tokens."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from time import time

from taskapi.problems import TOKEN_EXPIRED, TOKEN_INVALID, TOKEN_MALFORMED, TOKEN_MISSING, Problem
from taskapi.settings import Settings, variable
from taskapi.telemetry.counters import count_verified_token

from . import claims, key_set, shared_secret
from .claims import RequiredClaims
from .jwks_client import JwksClient
from .shared_secret import SharedSecrets
from .token import Token, read, well_formed

# Verified tokens are remembered, because verification is the most expensive step of a request.
_MAX_REMEMBERED = 10_000


class Authenticator:
    """Verifies tokens by the method that their `alg` belongs to: shared secret or key set."""

    def __init__(
        self,
        *,
        secrets: list[str],
        keys_url: str | None,
        secret_claims: RequiredClaims,
        jwks_claims: RequiredClaims,
        leeway: float,
        stale_limit: float,
        clock: Callable[[], float] = time,
    ) -> None:
        self._secrets = SharedSecrets(secrets) if secrets else None
        self.jwks = (
            JwksClient(keys_url, stale_limit=stale_limit, on_change=self._forget)
            if keys_url is not None
            else None
        )
        self._secret_claims = secret_claims
        self._jwks_claims = jwks_claims
        self._leeway = leeway
        self._clock = clock
        self._remembered: dict[bytes, tuple[str, float]] = {}

    async def open(self) -> None:
        if self.jwks is not None:
            await self.jwks.open()

    async def close(self) -> None:
        if self.jwks is not None:
            await self.jwks.close()

    @property
    def remembered(self) -> int:
        """The number of verified tokens in memory."""
        return len(self._remembered)

    async def identify(self, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """The user id of the token in these headers; 401 if there is no valid one."""
        token = _bearer_token(headers)
        digest = hashlib.sha256(token).digest()
        known = self._remembered.get(digest)
        if known is not None:
            user, valid_until = known
            if self._clock() < valid_until:
                return user
            del self._remembered[digest]
            raise Problem(TOKEN_EXPIRED)
        user, valid_until = await self._verify(token)
        count_verified_token()
        if len(self._remembered) >= _MAX_REMEMBERED:
            del self._remembered[next(iter(self._remembered))]
        self._remembered[digest] = (user, valid_until)
        return user

    async def _verify(self, text: bytes) -> tuple[str, float]:
        token = read(well_formed(text))
        required = await self._verify_signature(token)
        valid_until = claims.valid_until(token.claims, self._clock(), self._leeway)
        required.check(token.claims)
        return claims.user_id(token.claims), valid_until

    async def _verify_signature(self, token: Token) -> RequiredClaims:
        """Verify the signature; return the claims that tokens of its secret or key must have."""
        reason = "no secret or key that its alg may use has signed it"
        if token.algorithm in shared_secret.ALGORITHMS:
            if self._secrets is None:
                reason = f"its alg is {token.algorithm}, but no BETTER_AUTH_SECRET is set"
            elif self._secrets.verifies(token):
                return self._secret_claims
        elif token.algorithm in key_set.ALGORITHMS:
            if self.jwks is None:
                reason = f"its alg is {token.algorithm}, but no BETTER_AUTH_URL is set"
            else:
                key = await self.jwks.key(token.key_id)
                if key is not None and key.verifies(token):
                    return self._jwks_claims
        raise Problem(TOKEN_INVALID, reason=reason)

    def _forget(self) -> None:
        self._remembered.clear()


def authenticator_for(settings: Settings) -> Authenticator:
    """The authenticator that the settings describe."""
    issuer, audience = settings.jwt_issuer, settings.jwt_audience
    base = settings.better_auth_url
    variables = (variable("jwt_issuer"), variable("jwt_audience"))
    base_variable = variable("better_auth_url")
    return Authenticator(
        secrets=[secret.get_secret_value() for secret in settings.secrets],
        keys_url=settings.keys_url,
        secret_claims=RequiredClaims(issuer, audience, *variables),
        jwks_claims=RequiredClaims(
            issuer or base,
            audience or base,
            variables[0] if issuer else base_variable,
            variables[1] if audience else base_variable,
        ),
        leeway=settings.jwt_leeway,
        stale_limit=settings.jwks_stale_limit,
    )


def _bearer_token(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    credentials = [value for name, value in headers if name == b"authorization"]
    if len(credentials) > 1:
        raise Problem(TOKEN_MALFORMED, reason="there are two Authorization headers")
    scheme, _, token = credentials[0].partition(b" ") if credentials else (b"", b"", b"")
    token = token.strip(b" ")
    if scheme.lower() != b"bearer" or not token:
        raise Problem(TOKEN_MISSING)
    return token
