"""Call an authenticator without a server: the user of a token, or the code of its refusal."""

from __future__ import annotations

from base64 import urlsafe_b64decode
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from api.tokens import Signer, b64
from support.polling import wait_until_async
from taskapi.auth import Authenticator
from taskapi.auth.claims import RequiredClaims
from taskapi.problems import Problem

if TYPE_CHECKING:
    from api.jwks_server import JwksServer


# Makes a faulty signature from the signed bytes and the good signature.
SignatureFault: TypeAlias = Callable[[bytes, bytes], bytes]


class OpenAuthenticator(Protocol):
    def __call__(self, **terms: Any) -> Awaitable[Authenticator]: ...


def new_authenticator(**terms: Any) -> Authenticator:
    """An authenticator with these terms, and for the others what a server has without settings."""
    nothing = RequiredClaims(None, None)
    defaults: dict[str, Any] = {
        "secrets": [],
        "keys_url": None,
        "secret_claims": nothing,
        "jwks_claims": nothing,
        "leeway": 30,
        "stale_limit": 86400,
    }
    return Authenticator(**{**defaults, **terms})


async def identify(authenticator: Authenticator, token: str | bytes) -> str:
    """Return the user that the token names."""
    text = token.encode() if isinstance(token, str) else token
    return await authenticator.identify([(b"authorization", b"Bearer " + text)])


async def refusal_code(authenticator: Authenticator, token: str | bytes) -> str:
    """Return the code with which the token is refused."""
    try:
        user = await identify(authenticator, token)
    except Problem as problem:
        return problem.kind.code
    raise AssertionError(f"the token was accepted, for {user}")


async def wait_for_fetch(authenticator: Authenticator, jwks_server: JwksServer, times: int) -> None:
    """Wait until this many fetches have ended."""
    jwks = authenticator.jwks
    assert jwks is not None
    await wait_until_async(lambda: len(jwks_server.requests) == times and jwks._fetching is None)


async def assert_fault_is_refused(
    authenticator: Authenticator, signer: Signer, fault: SignatureFault
) -> None:
    """A token is refused with this fault in its signature, and accepted without it.

    The forged one is sent again after the good one, which is remembered by then.
    """
    good = signer.token("alice")
    signed = good.rpartition(".")[0]
    forged = fault(signed.encode(), urlsafe_b64decode(good.rpartition(".")[2] + "=="))
    assert await refusal_code(authenticator, f"{signed}.{b64(forged)}") == "token_invalid"
    assert await identify(authenticator, good) == "alice"
    assert await refusal_code(authenticator, f"{signed}.{b64(forged)}") == "token_invalid"
