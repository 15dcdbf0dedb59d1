"""Bytes that no HTTP client sends in a header are given to the authenticator directly."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from api.authenticators import identify, refusal_code
from api.tokens import key_signer, secret_signer
from taskapi.auth import Authenticator

WITH_OTHER_BYTES: dict[str, Callable[[bytes], bytes]] = {
    "line feed": lambda text: text[:30] + b"\n" + text[30:],
    "carriage return": lambda text: text[:30] + b"\r" + text[30:],
    "folded": lambda text: text[:30] + b"\r\n " + text[30:],
    "NUL": lambda text: text[:30] + b"\0" + text[30:],
    "line feed behind": lambda text: text + b"\n",
    "carriage return and line feed behind": lambda text: text + b"\r\n",
    "NUL behind": lambda text: text + b"\0",
    "tab behind": lambda text: text + b"\t",
    "no-break space behind": lambda text: text + b"\xa0",
    "invalid UTF-8 behind": lambda text: text + b"\xff",
}


@pytest.mark.parametrize("name", WITH_OTHER_BYTES)
async def test_a_token_with_another_byte_is_malformed(
    name: str, authenticator: Authenticator
) -> None:
    for signer in (secret_signer(), key_signer()):
        good = signer.token("alice").encode()
        assert await refusal_code(authenticator, WITH_OTHER_BYTES[name](good)) == "token_malformed"
        assert await identify(authenticator, good) == "alice"
        assert await refusal_code(authenticator, WITH_OTHER_BYTES[name](good)) == "token_malformed"


async def test_spaces_around_a_token_are_ignored(authenticator: Authenticator) -> None:
    """The control: HTTP allows spaces around the value of a header."""
    good = secret_signer().token("alice").encode()
    assert await identify(authenticator, b"  " + good + b" ") == "alice"
