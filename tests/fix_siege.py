"""Three servers, one for each choice of ways, and what it means that a token is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Protocol, TypeAlias
from urllib.parse import urlsplit

import httpx
import pytest

from fix_api import SECRET, Api, serving
from fix_contract import Json, problem
from fix_keys import KeyServer
from fix_tokens import ALGORITHMS, BASE, Signer, jwk, key_signer, secret_signer
from fix_wire import Wire, through

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
    "The token is not valid here.",
    "The token has expired.",
    "The token is not valid yet.",
}


@dataclass(frozen=True)
class Sent:
    """What a request carries that might be credentials."""

    headers: Sequence[tuple[str, str]] = ()
    query: Sequence[tuple[str, str]] = ()


Attack: TypeAlias = Callable[[Signer, str], str | Sent]


@dataclass(frozen=True)
class Gate:
    """A server and the ways that are open there."""

    api: Api
    http: httpx.Client
    ways: tuple[str, ...]

    def ask(self, endpoint: str, task_id: str, sent: Sent) -> httpx.Response:
        method, path, body = ENDPOINTS[endpoint]
        at = path.format(id=task_id)
        headers = [(name.encode(), value.encode("latin-1")) for name, value in sent.headers]
        return self.http.request(
            method, at, json=body, headers=headers, params=list(sent.query) or None
        )


@dataclass(frozen=True)
class Siege:
    gates: list[Gate]
    wire: Wire
    sent: set[str]


class Refused(Protocol):
    def __call__(
        self, attack: Attack, code: str, *, elsewhere: str | None = None, by: Sequence[str] = ...
    ) -> None: ...


def bearer(token: str) -> Sent:
    return Sent([("Authorization", f"Bearer {token}")])


@pytest.fixture(scope="session")
def siege(served_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Siege]:
    """The servers, with one proxy between them and the database; their logs are read at the end."""
    with_secret = {"BETTER_AUTH_SECRET": SECRET}
    parts = urlsplit(served_url)
    with (
        closing(KeyServer([jwk(algorithm) for algorithm in ALGORITHMS])) as keys,
        closing(Wire((parts.hostname or "", parts.port or 0))) as wire,
        ExitStack() as stack,
    ):
        with_keys = {"BETTER_AUTH_URL": BASE, "JWKS_URL": keys.url}
        gates = []
        for name, settings, ways in (
            ("secret", with_secret, ("secret",)),
            ("keys", {"BETTER_AUTH_SECRET": "", **with_keys}, ("keys",)),
            ("both", {**with_secret, **with_keys}, ("secret", "keys")),
        ):
            log = tmp_path_factory.mktemp("siege") / name
            api = stack.enter_context(serving(through(wire, served_url), log, settings))
            http = stack.enter_context(httpx.Client(base_url=api.base, timeout=30))
            gates.append(Gate(api, http, ways))
        siege = Siege(gates, wire, set())
        yield siege
        for gate in gates:
            assert gate.api.stop() == 0
            told = gate.api.log.read_text()
            assert SECRET not in told
            assert [text for text in siege.sent if text in told] == []


@pytest.fixture
def refused(siege: Siege, alice: str) -> Refused:
    """Tries an attack in the name of Alice on all endpoints of all servers, and then a good token.

    Where the signer's way is closed, `elsewhere` is the code, if it is another one there.
    """

    def try_it(
        attack: Attack,
        code: str,
        *,
        elsewhere: str | None = None,
        by: Sequence[str] = tuple(SIGNERS),
    ) -> None:
        both = siege.gates[-1]
        for way in by:
            good = bearer(SIGNERS[way].token(alice))
            task = both.ask("create", "", good).json()
            sent = attack(SIGNERS[way], alice)
            sent = bearer(sent) if isinstance(sent, str) else sent
            siege.sent.update(part for part in _credentials(sent) if len(part) > 20)
            for gate in siege.gates:
                expected = code if way in gate.ways else elsewhere or code
                siege.wire.forget()
                for endpoint in ENDPOINTS:
                    _is_refused(gate.ask(endpoint, task["id"], sent), expected)
                assert not siege.wire.messages, "the database was asked"
            assert both.ask("get", task["id"], good).json() == task
            for endpoint in ENDPOINTS:
                assert both.ask(endpoint, task["id"], good).is_success

    return try_it


def _credentials(sent: Sent) -> Iterator[str]:
    for _, value in (*sent.headers, *sent.query):
        yield from value.replace(" ", ".").split(".")


def _is_refused(response: httpx.Response, code: str) -> None:
    detail = problem(response, code)["detail"]
    assert detail in PHRASES
    challenge = response.headers["www-authenticate"]
    if code == "token_missing":
        assert challenge == "Bearer"
    else:
        told = detail.rstrip(".")
        assert challenge == f'Bearer error="invalid_token", error_description="{told}"'
