"""Three servers, one for each choice of authentication methods, and how each refuses a token."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias
from urllib.parse import urlsplit

import httpx

from api.jwks_server import JwksServer
from api.tokens import ALGORITHMS, BASE, Signer, jwk, key_signer, secret_signer
from support.api_server import SECRET, Api, serving
from support.counting_proxy import CountingProxy, through
from support.http_contract import Json, problem

ENDPOINTS: dict[str, tuple[str, str, Json | None]] = {
    "list": ("GET", "/api/tasks", None),
    "create": ("POST", "/api/tasks", {"title": "t"}),
    "get": ("GET", "/api/tasks/{id}", None),
    "update": ("PUT", "/api/tasks/{id}", {"title": "t"}),
    "complete": ("PATCH", "/api/tasks/{id}/complete", None),
    "delete": ("DELETE", "/api/tasks/{id}", None),
}
SIGNERS = {"secret": secret_signer(), "keys": key_signer()}
PHRASES = {
    "A bearer token is needed.",
    "The token is malformed.",
    "The bearer token must be a JWT.",
    "The token is not valid here.",
    "The token has expired.",
    "The token is not valid yet.",
}


@dataclass(frozen=True)
class Sent:
    """The parts of a request that may carry credentials."""

    headers: Sequence[tuple[str, str]] = ()
    query: Sequence[tuple[str, str]] = ()


Attack: TypeAlias = Callable[[Signer, str], str | Sent]


@dataclass(frozen=True)
class AuthServer:
    """A server, and the authentication methods that it accepts."""

    api: Api
    http: httpx.Client
    auth_methods: tuple[str, ...]

    def send(self, endpoint: str, task_id: str, sent: Sent) -> httpx.Response:
        method, path, body = ENDPOINTS[endpoint]
        at = path.format(id=task_id)
        headers = [(name.encode(), value.encode("latin-1")) for name, value in sent.headers]
        return self.http.request(
            method, at, json=body, headers=headers, params=list(sent.query) or None
        )


@dataclass(frozen=True)
class AuthServers:
    """The servers, the proxy between them and the database, and every credential that was sent."""

    servers: list[AuthServer]
    proxy: CountingProxy
    sent: set[str]


class AssertRefused(Protocol):
    def __call__(
        self, attack: Attack, code: str, *, elsewhere: str | None = None, by: Sequence[str] = ...
    ) -> None: ...


def bearer(token: str) -> Sent:
    return Sent([("Authorization", f"Bearer {token}")])


@contextmanager
def running_auth_servers(database_url: str, place: Path) -> Iterator[AuthServers]:
    """Start the servers, with one proxy before the database; search their logs at the end.

    No log may hold a secret, or any credential that was sent.
    """
    with_secret = {"BETTER_AUTH_SECRET": SECRET}
    parts = urlsplit(database_url)
    with (
        closing(JwksServer([jwk(algorithm) for algorithm in ALGORITHMS])) as keys,
        closing(CountingProxy((parts.hostname or "", parts.port or 0))) as proxy,
        ExitStack() as stack,
    ):
        with_keys = {"BETTER_AUTH_URL": BASE, "JWKS_URL": keys.url}
        servers = []
        for name, settings, auth_methods in (
            ("secret", with_secret, ("secret",)),
            ("keys", {"BETTER_AUTH_SECRET": "", **with_keys}, ("keys",)),
            ("both", {**with_secret, **with_keys}, ("secret", "keys")),
        ):
            running = serving(through(proxy, database_url), place / name, settings)
            api = stack.enter_context(running)
            http = stack.enter_context(httpx.Client(base_url=api.base, timeout=30))
            servers.append(AuthServer(api, http, auth_methods))
        auth_servers = AuthServers(servers, proxy, set())
        yield auth_servers
        for server in servers:
            assert server.api.stop() == 0
            log = server.api.log.read_text()
            assert SECRET not in log
            assert [text for text in auth_servers.sent if text in log] == []


def credentials_in(sent: Sent) -> Iterator[str]:
    for _, value in (*sent.headers, *sent.query):
        yield from value.replace(" ", ".").split(".")


def assert_is_refused(response: httpx.Response, code: str) -> None:
    detail = problem(response, code)["detail"]
    assert detail in PHRASES
    challenge = response.headers["www-authenticate"]
    if code == "token_missing":
        assert challenge == "Bearer"
    else:
        description = detail.rstrip(".")
        assert challenge == f'Bearer error="invalid_token", error_description="{description}"'
