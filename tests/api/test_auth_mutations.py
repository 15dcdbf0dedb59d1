"""A token with a changed byte, or built from parts of good ones, is refused.

The authenticator remembers the good tokens while it receives the changed ones.
"""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode, urlsafe_b64decode
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.authenticators import identify, new_authenticator, refusal_code
from api.jwks_server import JwksServer
from api.tokens import BASE, b64, jwk, key_signer, secret_signer
from support.api_server import SECRET
from support.polling import wait_until_async
from taskapi.auth import Authenticator
from taskapi.auth.claims import RequiredClaims

SIGNERS = [secret_signer(), *(key_signer(name) for name in ("EdDSA", "ES256", "RS256"))]
REFUSALS = {"token_missing", "token_malformed", "token_invalid"}

bytewise = st.integers(0, 255)


class OpenedAuthenticator:
    """An authenticator in a loop of its own, for many examples of one test."""

    def __init__(
        self, run: Callable[..., object], authenticator: Authenticator, tokens: list[str]
    ) -> None:
        self.run = run
        self.authenticator = authenticator
        self.tokens = tokens


@pytest.fixture(scope="module")
def opened() -> Iterator[OpenedAuthenticator]:
    keys = JwksServer([jwk(name) for name in ("EdDSA", "ES256", "RS256")])
    authenticator = new_authenticator(
        secrets=[SECRET], keys_url=keys.url, jwks_claims=RequiredClaims(BASE, BASE)
    )
    known = authenticator.jwks
    assert known is not None
    tokens = [signer.token(f"user_{n}", exp=2**33) for signer in SIGNERS for n in range(2)]
    with asyncio.Runner() as runner:
        runner.run(authenticator.open())
        runner.run(wait_until_async(lambda: known.loaded))
        yield OpenedAuthenticator(runner.run, authenticator, tokens)
        runner.run(authenticator.close())
    keys.close()


@st.composite
def changed(draw: st.DrawFn, good: bytes) -> bytes:
    """Change, insert or remove one byte, or remove or repeat a part."""
    at = draw(st.integers(0, len(good) - 1))
    match draw(st.integers(0, 4)):
        case 0:
            return good[:at] + bytes([good[at] ^ draw(st.integers(1, 255))]) + good[at + 1 :]
        case 1:
            return good[:at] + bytes([draw(bytewise)]) + good[at:]
        case 2:
            return good[:at] + good[at + 1 :]
        case 3:
            return good[:at] + good[at + draw(st.integers(1, 40)) :]
        case _:
            return good[:at] + good[at - draw(st.integers(1, 40)) :]


def reencoded(part: str, how: int) -> str:
    """Return a segment of nearly the same content in another encoding."""
    content = urlsafe_b64decode(part + "==")
    if how == 0:
        return b64encode(content).decode()
    if how == 1:
        return b64(content + b" ")
    if how == 2:
        return part + "="
    if how == 3:
        return part[:-1] + chr(ord(part[-1]) + 1)
    try:
        value = json.loads(content)
    except ValueError:
        return b64(content[::-1])
    if how == 4:
        return b64(json.dumps(value).encode())
    return b64(json.dumps(dict(reversed(value.items())), separators=(",", ":")).encode())


@st.composite
def rebuilt(draw: st.DrawFn, tokens: list[str]) -> bytes:
    """Join segments of several good tokens, in any order and number, some of them reencoded."""
    parts = [part for token in tokens for part in token.split(".")]
    segments = draw(st.lists(st.sampled_from(parts), min_size=1, max_size=4))
    encoded = [reencoded(part, how) if (how := draw(st.integers(0, 9))) < 6 else part
             for part in segments]  # fmt: skip
    return ".".join(encoded).encode()


def assert_refused_unless_good(opened: OpenedAuthenticator, text: bytes, goods: list[str]) -> None:
    if text.strip(b" ") not in {good.encode() for good in goods}:
        assert opened.run(refusal_code(opened.authenticator, text)) in REFUSALS


@pytest.mark.parametrize("number", range(len(SIGNERS) * 2))
def test_the_unchanged_tokens_are_accepted(number: int, opened: OpenedAuthenticator) -> None:
    """The control, after which the authenticator remembers them."""
    assert opened.run(identify(opened.authenticator, opened.tokens[number])) == f"user_{number % 2}"


@settings(max_examples=80 * settings().max_examples)
@given(data=st.data())
def test_a_token_with_a_changed_byte_is_refused(
    opened: OpenedAuthenticator, data: st.DataObject
) -> None:
    good = data.draw(st.sampled_from(opened.tokens))
    assert_refused_unless_good(opened, data.draw(changed(good.encode())), opened.tokens)


@settings(max_examples=20 * settings().max_examples)
@given(data=st.data())
def test_a_token_of_parts_of_good_ones_is_refused(
    opened: OpenedAuthenticator, data: st.DataObject
) -> None:
    assert_refused_unless_good(opened, data.draw(rebuilt(opened.tokens)), opened.tokens)
