"""Rotation of the shared secret: tokens of both are accepted during it, the old ones not after."""

from __future__ import annotations

import httpx
import pytest

from api.authenticators import OpenAuthenticator, identify, refusal_code
from api.refused_tokens import Sent, bearer
from api.tokens import secret_signer
from support.api_server import Serve
from support.http_contract import problem

OLDEST = "the oldest secret of all and as long as a real one"
OLD = "the secret that is being rotated out of use"
NEW = "the secret that is from now on to be used"


@pytest.mark.parametrize("secret", [NEW, OLD, OLDEST])
async def test_tokens_of_each_configured_secret_are_accepted(
    secret: str, open_authenticator: OpenAuthenticator
) -> None:
    authenticator = await open_authenticator(secrets=[NEW, OLD, OLDEST])
    assert await identify(authenticator, secret_signer(secret).token("alice")) == "alice"
    for other in ("x" * 40, f"{NEW},{OLD}", NEW + OLD, ""):
        assert (
            await refusal_code(authenticator, secret_signer(other).token("alice"))
            == "token_invalid"
        )


def listed(http: httpx.Client, sent: Sent) -> httpx.Response:
    return http.get("/api/tasks", headers=list(sent.headers))


def test_a_secret_is_rotated_without_a_refusal(serve: Serve, alice: str) -> None:
    """The operator's steps: the old secret, both, the new one; a restart between them."""
    by_old, by_new = (bearer(secret_signer(secret).token(alice)) for secret in (OLD, NEW))
    with serve(BETTER_AUTH_SECRET=OLD) as api, api.client() as http:
        assert listed(http, by_old).status_code == 200
        problem(listed(http, by_new), "token_invalid")
    both = {"BETTER_AUTH_SECRET": NEW, "BETTER_AUTH_SECRET_PREVIOUS": f"{OLDEST}, {OLD}"}
    with serve(**both) as api, api.client() as http:
        for sent in (by_old, by_new, bearer(secret_signer(OLDEST).token(alice)), by_old):
            assert listed(http, sent).status_code == 200
        problem(listed(http, bearer(secret_signer(OLD + "x").token(alice))), "token_invalid")
    with serve(BETTER_AUTH_SECRET=NEW) as api, api.client() as http:
        problem(listed(http, by_old), "token_invalid")
        assert listed(http, by_new).status_code == 200
