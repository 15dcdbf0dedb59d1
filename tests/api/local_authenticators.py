"""The three choices of authentication methods without servers: attacks go to authenticators.

A thousand times cheaper than requests, for mutation testing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass

from api.authenticators import new_authenticator
from api.jwks_server import JwksServer
from api.refused_tokens import SIGNERS, Attack, Sent, bearer
from api.tokens import ALGORITHMS, BASE, jwk
from support.api_server import SECRET
from taskapi.auth import Authenticator
from taskapi.auth.claims import RequiredClaims
from taskapi.problems import Problem

CHOICES = (("secret",), ("keys",), tuple(SIGNERS))


@dataclass(frozen=True)
class Authenticators:
    """The authenticators, by the methods that they accept, and the loop that they run in."""

    runner: asyncio.Runner
    by_methods: dict[tuple[str, ...], Authenticator]

    def assert_refused(
        self,
        attack: Attack,
        code: str,
        *,
        elsewhere: str | None = None,
        by: Sequence[str] = tuple(SIGNERS),
    ) -> None:
        """Every authenticator refuses the attack; the control is a good token of the signer."""
        for auth_method in by:
            signer = SIGNERS[auth_method]
            sent = attack(signer, "alice")
            sent = bearer(sent) if isinstance(sent, str) else sent
            for auth_methods, authenticator in self.by_methods.items():
                expected = code if auth_method in auth_methods else elsewhere or code
                assert self._answer(authenticator, sent) == expected
                if auth_method in auth_methods:
                    good = bearer(signer.token("alice"))
                    assert self._answer(authenticator, good) == "alice"

    def _answer(self, authenticator: Authenticator, sent: Sent) -> str:
        """The user of a request, or the code of its refusal."""
        headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in sent.headers]
        try:
            return self.runner.run(authenticator.identify(headers))
        except Problem as problem:
            return problem.kind.code


@contextmanager
def opened_authenticators() -> Iterator[Authenticators]:
    with (
        closing(JwksServer([jwk(algorithm) for algorithm in ALGORITHMS])) as keys,
        asyncio.Runner() as runner,
        ExitStack() as stack,
    ):
        by_methods = {}
        for auth_methods in CHOICES:
            authenticator = new_authenticator(
                secrets=[SECRET] if "secret" in auth_methods else [],
                keys_url=keys.url if "keys" in auth_methods else None,
                jwks_claims=RequiredClaims(BASE, BASE),
            )
            runner.run(authenticator.open())
            stack.callback(_close, runner, authenticator)
            by_methods[auth_methods] = authenticator
        yield Authenticators(runner, by_methods)


def _close(runner: asyncio.Runner, authenticator: Authenticator) -> None:
    runner.run(authenticator.close())
