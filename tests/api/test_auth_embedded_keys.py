"""A key that a token brings along, or the address of one, is neither used nor asked for."""

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
    """A forger's server, with the forger's key."""
    with closing(JwksServer([jwk("EdDSA", 1)])) as server:
        yield server


@pytest.mark.parametrize("kid", ["EdDSA-0", "EdDSA-1", ...], ids=["known", "unknown", "none"])
@pytest.mark.parametrize("name", ["jku", "x5u", "jwk", "x5c", "jku+x5u+jwk"])
def test_a_key_that_a_token_brings_or_names_is_never_followed(
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
    assert listener.asked == []
    assert httpx.get(listener.url).is_success
    assert listener.asked == ["/api/auth/jwks"]


async def test_a_good_token_may_carry_them_unheeded(
    listener: JwksServer, authenticator: Authenticator
) -> None:
    """Whoever is trusted may name addresses: the token counts, the addresses are not asked."""
    signer = key_signer(jku=listener.url, x5u=listener.url, jwk=jwk("EdDSA", 1))
    assert await identify(authenticator, signer.token("alice")) == "alice"
    assert listener.asked == []
