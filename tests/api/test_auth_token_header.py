"""A correctly signed token is refused for another algorithm, another type or an extension."""

from __future__ import annotations

import pytest

from api.refused_tokens import AssertRefused, Attack
from api.tokens import BASE, Signer, b64


def with_header(**header: object) -> Attack:
    return lambda signer, user: signer.token(user, header)


def unsigned(algorithm: str) -> Attack:
    """Send an algorithm without a signature, and yet some bytes as a signature."""

    def attack(signer: Signer, user: str) -> str:
        token = signer.token(user, {"alg": algorithm}).rpartition(".")[0]
        return f"{token}.{b64(b'none')}"

    return attack


NONE = ["none", "None", "NONE", "nOnE", "none ", " none", "", "null", "n\u043ene"]
# Algorithms that neither authentication method accepts.
OTHERS = [
    "HS384", "HS512", "HS1", "RS1", "RS384", "RS512", "PS384", "PS512", "ES384", "ES256K", "Ed448",
    "hs256", "HS256 ", "HS256\0", "eddsa", "EDDSA", "ed25519", "es256", "dir", "A256KW", "RSA-OAEP",
]  # fmt: skip
TYPES: dict[str, object] = {
    "session cache": "better-auth.session-cache+jwt",
    "logout": "logout+jwt",
    "lower case": "jwt",
    "upper case": "AT+JWT",
    "proof of possession": "dpop+jwt",
    "long form": "application/at+jwt",
    "JOSE": "JOSE",
    "empty": "",
    "null": None,
    "number": 1,
    "list": ["JWT"],
}
CRITICAL: dict[str, object] = {
    "known name": ["exp"],
    "unknown name": ["https://example.com/ext"],
    "b64": ["b64"],
    "empty": [],
    "null": None,
}


@pytest.mark.parametrize("algorithm", NONE)
def test_an_unsigned_token_is_invalid(algorithm: str, assert_refused: AssertRefused) -> None:
    assert_refused(unsigned(algorithm), "token_invalid")
    assert_refused(with_header(alg=algorithm), "token_invalid")


@pytest.mark.parametrize("algorithm", OTHERS)
def test_an_algorithm_outside_the_lists_is_invalid(
    algorithm: str, assert_refused: AssertRefused
) -> None:
    assert_refused(with_header(alg=algorithm), "token_invalid")


@pytest.mark.parametrize("name", TYPES)
def test_a_type_other_than_an_api_token_is_invalid(
    name: str, assert_refused: AssertRefused
) -> None:
    assert_refused(with_header(typ=TYPES[name]), "token_invalid")


@pytest.mark.parametrize("name", CRITICAL)
def test_a_critical_extension_is_invalid(name: str, assert_refused: AssertRefused) -> None:
    assert_refused(with_header(crit=CRITICAL[name], exp=1, b64=True), "token_invalid")


def test_a_logout_token_is_invalid(assert_refused: AssertRefused) -> None:
    events: dict[str, object] = {"http://schemas.openid.net/event/backchannel-logout": {}}
    assert_refused(
        lambda s, u: s.token(u, {"typ": "logout+jwt"}, iss=BASE, aud="client", events=events),
        "token_invalid",
    )
