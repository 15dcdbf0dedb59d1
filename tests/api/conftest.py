"""Fixtures of the tests of the API: a task, the document, authenticators, a JWKS server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.authenticators import OpenAuthenticator
from api.jwks_server import JwksServer
from api.loop_clock import Clock
from api.openapi_document import COMMITTED
from api.refused_tokens import (
    ENDPOINTS,
    SIGNERS,
    AssertRefused,
    Attack,
    AuthServers,
    assert_is_refused,
    bearer,
    credentials_in,
    running_auth_servers,
)
from api.tokens import ALGORITHMS, BASE, jwk
from support.api_server import SECRET, serving
from support.http_contract import Json, create
from support.limited_server import PROGRAM, ServeLimited, environment
from support.pgbouncer import Route
from support.polling import wait_until_async
from taskapi.auth import Authenticator
from taskapi.auth.claims import RequiredClaims


@pytest.fixture
def task(as_alice: httpx.Client) -> Json:
    """A task of Alice's."""
    return create(as_alice, description="oat")


@pytest.fixture
def path(task: Json) -> str:
    """Where Alice's task is."""
    return f"/api/tasks/{task['id']}"


@pytest.fixture(scope="session")
def document() -> Json:
    document: Json = json.loads(COMMITTED.read_bytes())
    return document


@pytest.fixture
async def clock() -> Clock:
    """The clock of the test's event loop."""
    return Clock(asyncio.get_running_loop())


@pytest.fixture
def serve_limited(url: str, through_pooler: Route, tmp_path: Path) -> ServeLimited:
    """Servers with other limits on connections: `with serve_limited(stock=True) as api`."""

    def start(settings: Mapping[str, str] | None = None, **terms: Any) -> Any:
        log = tmp_path / f"limited-{len(list(tmp_path.iterdir()))}"
        changed = {**environment(**terms), **(settings or {})}
        return serving(through_pooler(url), log, changed, PROGRAM)

    return start


@pytest.fixture
def jwks_server() -> Iterator[JwksServer]:
    """The keys of one Better Auth, one for each algorithm."""
    server = JwksServer([jwk(algorithm) for algorithm in ALGORITHMS])
    yield server
    server.close()


@pytest.fixture
async def open_authenticator() -> AsyncIterator[OpenAuthenticator]:
    """Authenticators that have begun to fetch their keys, if they use any."""
    async with AsyncExitStack() as stack:

        async def opened(**terms: Any) -> Authenticator:
            authenticator = Authenticator(
                **{"secrets": [], "jwks_claims": RequiredClaims(BASE, BASE), **terms}
            )
            await authenticator.open()
            stack.push_async_callback(authenticator.close)
            return authenticator

        yield opened


@pytest.fixture
async def authenticator(
    open_authenticator: OpenAuthenticator, jwks_server: JwksServer
) -> Authenticator:
    """An authenticator for both methods, which has fetched its keys."""
    authenticator = await open_authenticator(secrets=[SECRET], keys_url=jwks_server.url)
    jwks = authenticator.jwks
    assert jwks is not None
    await wait_until_async(lambda: jwks.loaded)
    return authenticator


@pytest.fixture(scope="session")
def auth_servers(
    served_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AuthServers]:
    """One server for each choice of authentication methods, on the shared database."""
    with running_auth_servers(served_url, tmp_path_factory.mktemp("auth-servers")) as servers:
        yield servers


@pytest.fixture
def assert_refused(auth_servers: AuthServers, alice: str) -> AssertRefused:
    """Send an attack in the name of Alice to all endpoints of all servers, and then a good token.

    On a server that does not take the signer's method the code is `elsewhere`, if that is given.
    """

    def check(
        attack: Attack,
        code: str,
        *,
        elsewhere: str | None = None,
        by: Sequence[str] = tuple(SIGNERS),
    ) -> None:
        both = auth_servers.servers[-1]
        for auth_method in by:
            good = bearer(SIGNERS[auth_method].token(alice))
            task = both.send("create", "", good).json()
            sent = attack(SIGNERS[auth_method], alice)
            sent = bearer(sent) if isinstance(sent, str) else sent
            auth_servers.sent.update(part for part in credentials_in(sent) if len(part) > 20)
            for server in auth_servers.servers:
                expected = code if auth_method in server.auth_methods else elsewhere or code
                auth_servers.proxy.forget()
                for endpoint in ENDPOINTS:
                    assert_is_refused(server.send(endpoint, task["id"], sent), expected)
                # A pool may log in at any moment; an operation sends other messages than a password.
                asked = set(auth_servers.proxy.messages) - {"p"}
                assert not asked, "the database was asked"
            assert both.send("get", task["id"], good).json() == task
            for endpoint in ENDPOINTS:
                assert both.send(endpoint, task["id"], good).is_success

    return check
