"""HS256 signatures, made with the secret that Better Auth, its frontends and this API share."""

from __future__ import annotations

import hmac

from .token import Token

ALGORITHMS = frozenset({"HS256"})


class SharedSecrets:
    """The current secret, and earlier ones during a rotation."""

    def __init__(self, secrets: list[str]) -> None:
        self._secrets = [secret.encode() for secret in secrets]

    def verifies(self, token: Token) -> bool:
        """Whether this token was signed with one of the secrets."""
        return any(
            hmac.compare_digest(hmac.digest(secret, token.signed, "sha256"), token.signature)
            for secret in self._secrets
        )
