"""A key in a token's header is not used, and the URL of a key there is not fetched."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing

import httpx
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from api.authenticators import identify
from api.jwks_server import JwksServer
from api.refused_tokens import AssertRefused
from api.tokens import jwk, key_signer, private_key
from taskapi.auth import Authenticator


@pytest.fixture
def listener() -> Iterator[JwksServer]:
    """A JWKS server with a key that the authenticator does not know."""
    with closing(JwksServer([jwk("EdDSA", 1)])) as server:
        yield server


@pytest.mark.parametrize("kid", ["EdDSA-0", "EdDSA-1", ...], ids=["known", "unknown", "none"])
@pytest.mark.parametrize("name", ["jku", "x5u", "jwk", "x5c", "jku+x5u+jwk"])
def test_a_key_or_url_in_a_token_is_never_used(
    name: str, kid: object, listener: JwksServer, assert_refused: AssertRefused
) -> None:
    public = private_key("EdDSA", 1).public_key()
    forger_der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    offers = {
        "jku": listener.url,
        "x5u": listener.url,
        "jwk": jwk("EdDSA", 1),
        "x5c": [b64encode(forger_der).decode()],
    }
    offered = {part: offers[part] for part in name.split("+")}
    forger = key_signer("EdDSA", 1, **offered, kid=kid)
    assert_refused(lambda _, user: forger.token(user), "token_invalid")
    assert listener.requests == []
    assert httpx.get(listener.url).is_success
    assert listener.requests == ["/api/auth/jwks"]


async def test_a_good_token_with_such_a_header_is_accepted_without_a_fetch(
    listener: JwksServer, authenticator: Authenticator
) -> None:
    """These header members are ignored, also in a token that is signed correctly."""
    signer = key_signer(jku=listener.url, x5u=listener.url, jwk=jwk("EdDSA", 1))
    assert await identify(authenticator, signer.token("alice")) == "alice"
    assert listener.requests == []
