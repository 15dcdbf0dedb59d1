"""What tokens are verified with: the shared secret and the key set."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from . import CheckFailed, Finding, keys, run_check

if TYPE_CHECKING:
    from taskapi.settings import Settings

_MIN_DIFFERENT_CHARACTERS = 10
_PLACEHOLDERS = (
    "better-auth-secret", "better_auth_secret", "change", "password", "replace", "secret",
    "super-secret", "supersecret", "your",
)  # fmt: skip
_NEW_SECRET = "openssl rand -base64 32"  # noqa: S105 - a command


def findings(settings: Settings) -> Iterator[Finding]:
    secrets = [secret.get_secret_value() for secret in settings.secrets]
    if secrets:
        yield from run_check("secret", lambda: secret_strength(secrets))
    if settings.keys_url is not None:
        url = settings.keys_url
        yield from run_check("keys", lambda: keys.key_set(url))


def secret_strength(secrets: list[str]) -> str:
    """Fail for secrets that don't look random."""
    for secret in secrets:
        if secret.lower().startswith(_PLACEHOLDERS):
            raise CheckFailed("BETTER_AUTH_SECRET looks like an example", _NEW_SECRET)
        if len(set(secret)) < _MIN_DIFFERENT_CHARACTERS:
            raise CheckFailed("BETTER_AUTH_SECRET has too few different characters", _NEW_SECRET)
    return f"{len(secrets[0].encode())} bytes" + f", {len(secrets) - 1} older" * (len(secrets) > 1)
