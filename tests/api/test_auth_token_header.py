"""What a header may not say, whoever signed it: another algorithm, another type, an extension."""

from __future__ import annotations

import pytest

from api.refused_tokens import AssertRefused, Attack
from api.tokens import BASE, Signer, b64


def saying(**header: object) -> Attack:
    return lambda signer, user: signer.token(user, header)


def unsigned(algorithm: str) -> Attack:
    """An algorithm that asks for no signature, with some signature nevertheless."""

    def attack(signer: Signer, user: str) -> str:
        token = signer.token(user, {"alg": algorithm}).rpartition(".")[0]
        return f"{token}.{b64(b'none')}"

    return attack


NONE = ["none", "None", "NONE", "nOnE", "none ", " none", "", "null", "n\u043ene"]
# Neither in the list of a shared secret's algorithms nor in that of the keys'.
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
    assert_refused(saying(alg=algorithm), "token_invalid")


@pytest.mark.parametrize("algorithm", OTHERS)
def test_an_algorithm_outside_the_lists_is_invalid(
    algorithm: str, assert_refused: AssertRefused
) -> None:
    assert_refused(saying(alg=algorithm), "token_invalid")


@pytest.mark.parametrize("name", TYPES)
def test_what_is_no_api_token_by_its_type_is_invalid(
    name: str, assert_refused: AssertRefused
) -> None:
    assert_refused(saying(typ=TYPES[name]), "token_invalid")


@pytest.mark.parametrize("name", CRITICAL)
def test_an_extension_that_must_be_understood_is_invalid(
    name: str, assert_refused: AssertRefused
) -> None:
    assert_refused(saying(crit=CRITICAL[name], exp=1, b64=True), "token_invalid")


def test_a_logout_notice_is_invalid(assert_refused: AssertRefused) -> None:
    events: dict[str, object] = {"http://schemas.openid.net/event/backchannel-logout": {}}
    assert_refused(
        lambda s, u: s.token(u, {"typ": "logout+jwt"}, iss=BASE, aud="client", events=events),
        "token_invalid",
    )
