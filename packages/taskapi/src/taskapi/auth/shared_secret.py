"""The first way in: HS256 with the secret that Better Auth and its frontends share."""

from __future__ import annotations

import hmac

from .token import Token

ALGORITHMS = frozenset({"HS256"})


class SharedSecrets:
    """Several at once while one is rotated out."""

    def __init__(self, secrets: list[str]) -> None:
        self._secrets = [secret.encode() for secret in secrets]

    def signed(self, token: Token) -> bool:
        """Whether one of the secrets signed this token."""
        return any(
            hmac.compare_digest(hmac.digest(secret, token.signed, "sha256"), token.signature)
            for secret in self._secrets
        )
