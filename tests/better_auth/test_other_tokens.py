"""Better Auth signs other tokens with the same secret and keys; the API refuses all of them."""

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
from taskcore import embedded
from taskcore.testing import database

CALLBACK = "https://client.example/callback"
VERIFIER = "v" * 43


class Servers:
    """Better Auth, and an API server that accepts both its keys and its secret."""

    def __init__(self, auth: BetterAuth, api: Api) -> None:
        self.auth = auth
        self.api = api
        self.account = auth.sign_up()


@pytest.fixture(scope="module", params=["secret", "keys"])
def signer(request: pytest.FixtureRequest) -> str:
    """What the cookie that caches the session is signed with: the shared secret or a key."""
    return str(request.param)


@pytest.fixture(scope="module")
def servers(
    signer: str, postgres: embedded.Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Servers]:
    place = tmp_path_factory.mktemp("servers")
    with (
        database(postgres) as url,
        running_better_auth(url, place, {"SESSION_CACHE": signer}) as auth,
        auth.api() as api,
    ):
        yield Servers(auth, api)


def session_cookie(servers: Servers) -> str:
    return unquote(servers.account.http.cookies["better-auth.session_token"])


def session_token(servers: Servers) -> str:
    return str(servers.account.get("get-session")["session"]["token"])


def session_cache(servers: Servers) -> str:
    return servers.account.http.cookies["better-auth.session_data"]


def verification(servers: Servers) -> str:
    """Return the token of the link in the verification mail."""
    return str(servers.auth.ask("/mailed", email=servers.account.email)["token"])


def token_for_a_client(servers: Servers) -> str:
    """Return a token that is correct except for its audience."""
    token = servers.auth.ask("/sign", sub=servers.account.id, aud="another-client")["token"]
    assert servers.auth.base == jwt.decode(token, options={"verify_signature": False})["iss"]
    return str(token)


def id_token(servers: Servers) -> str:
    """Return the id token that an OpenID Connect client gets."""
    account = servers.account
    client = {"redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none"}
    client_id = account.post("oauth2/create-client", client)["client_id"]
    digest = hashlib.sha256(VERIFIER.encode()).digest()
    authorized = account.http.get(
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
    query = urlsplit(authorized.headers["location"]).query
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


TOKENS: dict[str, tuple[Callable[[Servers], str], str]] = {
    "session cookie": (session_cookie, "token_malformed"),
    "session token": (session_token, "token_malformed"),
    "verification": (verification, "token_malformed"),
    "for a client": (token_for_a_client, "token_invalid"),
    "id token": (id_token, "token_invalid"),
}


@pytest.mark.parametrize("kind", TOKENS)
def test_a_token_for_another_purpose_is_refused(kind: str, servers: Servers) -> None:
    token_of, code = TOKENS[kind]
    assert_refused(servers, token_of(servers), code)


def test_a_cached_session_is_refused(servers: Servers, signer: str) -> None:
    token = session_cache(servers)
    header = jwt.get_unverified_header(token)
    assert (header["alg"] == "HS256") == (signer == "secret")
    assert_refused(servers, token, "token_malformed" if signer == "secret" else "token_invalid")


def test_cookies_are_ignored(servers: Servers) -> None:
    cookies = dict(servers.account.http.cookies)
    assert len(cookies) == 2
    with servers.api.client() as client:
        client.cookies.update(cookies)
        problem(client.get("/api/tasks"), "token_missing")


def assert_refused(servers: Servers, token: str, code: str) -> None:
    """The token is refused; the control: the same user's API token is accepted."""
    with client_with_token(servers.api, token) as client:
        problem(client.get("/api/tasks"), code)
        problem(client.post("/api/tasks", json={"title": "x"}), code)
    with client_with_token(servers.api, servers.account.token()) as client:
        assert client.get("/api/tasks").json() == []
