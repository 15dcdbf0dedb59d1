"""Who gets in: the shared secret, and the key set."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from . import Finding, Ill, attempt

if TYPE_CHECKING:
    from taskapi.settings import Settings

_FEWEST_CHARACTERS = 10
_PLACEHOLDERS = (
    "better-auth-secret", "better_auth_secret", "change", "password", "replace", "secret",
    "super-secret", "supersecret", "your",
)  # fmt: skip
_NEW_SECRET = "openssl rand -base64 32"  # noqa: S105 - prints one


def findings(settings: Settings) -> Iterator[Finding]:
    secrets = [secret.get_secret_value() for secret in settings.secrets]
    if secrets:
        yield from attempt("secret", lambda: strength(secrets))
    if settings.keys_url is not None:
        url = settings.keys_url
        yield from attempt("keys", lambda: keys(url))


def strength(secrets: list[str]) -> str:
    """Whether these could have been drawn at random."""
    for secret in secrets:
        if secret.lower().startswith(_PLACEHOLDERS):
            raise Ill("BETTER_AUTH_SECRET looks like the example of a manual", _NEW_SECRET)
        if len(set(secret)) < _FEWEST_CHARACTERS:
            raise Ill("BETTER_AUTH_SECRET has too few different characters", _NEW_SECRET)
    return f"{len(secrets[0].encode())} bytes" + f", {len(secrets) - 1} older" * (len(secrets) > 1)


def keys(url: str) -> str:
    """Which keys there are."""
    import httpx

    from taskapi.auth.key_set import UnusableKeySet, parse

    setting = "correct JWKS_URL or BETTER_AUTH_URL, or start Better Auth"
    try:
        answer = httpx.get(url, timeout=5)
        answer.raise_for_status()
        found = parse(answer.content)
    except httpx.HTTPStatusError as error:
        raise Ill(f"{url} answers {error.response.status_code}", setting) from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Ill(f"{url} can't be reached ({type(error).__name__})", setting) from error
    except UnusableKeySet as error:
        raise Ill(f"{url} has no key set: {error}", setting) from error
    return ", ".join(f"{key_id} ({'/'.join(key.algorithms)})" for key_id, key in found.items())
