"""Better Auth signs more than API tokens, with the same secret and the same keys: none gets in."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator
from urllib.parse import parse_qs, unquote, urlsplit

import jwt
import pytest

from support.api_server import Api
from support.better_auth import BetterAuth, client_with_token, running_better_auth
from support.http_contract import problem
from support.postgres import database
from taskcore import embedded

CALLBACK = "https://client.example/callback"
VERIFIER = "v" * 43


class Stage:
    """A server of ours that takes both the keys and the secret of a Better Auth."""

    def __init__(self, auth: BetterAuth, api: Api) -> None:
        self.auth = auth
        self.api = api
        self.account = auth.sign_up()


@pytest.fixture(scope="module", params=["secret", "keys"])
def signer(request: pytest.FixtureRequest) -> str:
    """What the cookie that caches the session is signed with."""
    return str(request.param)


@pytest.fixture(scope="module")
def stage(
    signer: str, postgres: embedded.Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    place = tmp_path_factory.mktemp("stage")
    with (
        database(postgres) as url,
        running_better_auth(url, place, {"SESSION_CACHE": signer}) as auth,
        auth.api() as api,
    ):
        yield Stage(auth, api)


def session_cookie(stage: Stage) -> str:
    return unquote(stage.account.http.cookies["better-auth.session_token"])


def session_token(stage: Stage) -> str:
    return str(stage.account.get("get-session")["session"]["token"])


def session_cache(stage: Stage) -> str:
    return stage.account.http.cookies["better-auth.session_data"]


def verification(stage: Stage) -> str:
    """What the link in the mail carries."""
    return str(stage.auth.ask("/mailed", email=stage.account.email)["token"])


def token_for_a_client(stage: Stage) -> str:
    """Right but for its audience."""
    token = stage.auth.ask("/sign", sub=stage.account.id, aud="another-client")["token"]
    assert stage.auth.base == jwt.decode(token, options={"verify_signature": False})["iss"]
    return str(token)


def id_token(stage: Stage) -> str:
    """What a client that signs its users in with us is told of them."""
    account = stage.account
    client = {"redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none"}
    client_id = account.post("oauth2/create-client", client)["client_id"]
    digest = hashlib.sha256(VERIFIER.encode()).digest()
    asked = account.http.get(
        "/api/auth/oauth2/authorize",
        params={
            "client_id": client_id,
            "redirect_uri": CALLBACK,
            "response_type": "code",
            "scope": "openid",
            "state": "any",
            "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
            "code_challenge_method": "S256",
        },
    )
    query = urlsplit(asked.headers["location"]).query
    allowed = account.post("oauth2/consent", {"accept": True, "oauth_query": query})
    form = {
        "grant_type": "authorization_code",
        "code": parse_qs(urlsplit(allowed["url"]).query)["code"][0],
        "client_id": client_id,
        "redirect_uri": CALLBACK,
        "code_verifier": VERIFIER,
    }
    answer = account.http.post("/api/auth/oauth2/token", data=form)
    return str(answer.raise_for_status().json()["id_token"])


TOKENS: dict[str, tuple[Callable[[Stage], str], str]] = {
    "session cookie": (session_cookie, "token_malformed"),
    "session token": (session_token, "token_malformed"),
    "verification": (verification, "token_malformed"),
    "for a client": (token_for_a_client, "token_invalid"),
    "id token": (id_token, "token_invalid"),
}


@pytest.mark.parametrize("kind", TOKENS)
def test_a_token_for_something_else_is_refused(kind: str, stage: Stage) -> None:
    token_of, code = TOKENS[kind]
    refused(stage, token_of(stage), code)


def test_a_cached_session_is_refused(stage: Stage, signer: str) -> None:
    token = session_cache(stage)
    header = jwt.get_unverified_header(token)
    assert (header["alg"] == "HS256") == (signer == "secret")
    refused(stage, token, "token_malformed" if signer == "secret" else "token_invalid")


def test_cookies_are_not_looked_at(stage: Stage) -> None:
    cookies = dict(stage.account.http.cookies)
    assert len(cookies) == 2
    with stage.api.client() as client:
        client.cookies.update(cookies)
        problem(client.get("/api/tasks"), "token_missing")


def refused(stage: Stage, token: str, code: str) -> None:
    """Refused, where the same user's API token opens the door."""
    with client_with_token(stage.api, token) as client:
        problem(client.get("/api/tasks"), code)
        problem(client.post("/api/tasks", json={"title": "x"}), code)
    with client_with_token(stage.api, stage.account.token()) as client:
        assert client.get("/api/tasks").json() == []
