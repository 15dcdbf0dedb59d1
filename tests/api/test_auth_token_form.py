"""A token has one form, and each part one encoding; any other is malformed on every server."""

from __future__ import annotations

import pytest

from api.authenticators import identify, refusal_code
from api.refused_tokens import AssertRefused, Attack
from api.tokens import Signer, as_json, b64, key_signer, secret_signer
from taskapi.auth import Authenticator

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def reencoded(part: str) -> str:
    """Return base64 of the same bytes whose unused last bits are not zero."""
    assert len(part) % 4 != 0
    return part[:-1] + ALPHABET[ALPHABET.index(part[-1]) + 1]


def in_parts(signer: Signer, user: str) -> list[str]:
    """Return a good token's parts, each with unused bits at its end."""
    header = as_json(dict(signer.header))
    claims = as_json(signer.claims_for(user))
    header, claims = (part + b" " * (len(part) % 3 == 0) for part in (header, claims))
    return signer.text(header, claims).split(".")


def with_part(number: int, part: str) -> Attack:
    def attack(signer: Signer, user: str) -> str:
        parts = in_parts(signer, user)
        parts[number] = part.format(*parts)
        return ".".join(parts)

    return attack


def reencoding(number: int) -> Attack:
    def attack(signer: Signer, user: str) -> str:
        parts = in_parts(signer, user)
        parts[number] = reencoded(parts[number])
        return ".".join(parts)

    return attack


def long(signer: Signer, user: str) -> str:
    """Return a token that is one or two bytes too long."""
    for room in range(6144, 0, -1):
        text = signer.token(user, pad="x" * room)
        if len(text) <= 8192 + 2:
            break
    assert len(text) > 8192
    return text


def of_the_largest_size(signer: Signer, user: str) -> str:
    return next(
        text
        for room in range(6144, 0, -1)
        if len(text := signer.token(user, pad="x" * room)) <= 8192
    )


def json_general(signer: Signer, user: str) -> str:
    header, claims, signature = in_parts(signer, user)
    entry = {"protected": header, "signature": signature}
    return as_json({"payload": claims, "signatures": [entry]}).decode()


FORM: dict[str, Attack] = {
    "one segment": lambda s, u: s.token(u).partition(".")[0],
    "two segments": lambda s, u: s.token(u).rpartition(".")[0],
    "four segments": lambda s, u: s.token(u) + "." + s.token(u).rpartition(".")[2],
    "five segments": lambda s, u: s.token(u) + ".AAAA.AAAA",
    "no header": with_part(0, ""),
    "no claims": with_part(1, ""),
    "no signature": with_part(2, ""),
    "alg none, no signature": lambda s, u: f"{b64(as_json({'alg': 'none'}))}.{b64(b'{}')}.",
    "a dot before": lambda s, u: "." + s.token(u),
    "a dot behind": lambda s, u: s.token(u) + ".",
    "padded header": with_part(0, "{0}="),
    "padded claims": with_part(1, "{1}=="),
    "padded signature": with_part(2, "{2}="),
    "a space inside": with_part(1, "{1} "),
    "a tab inside": with_part(1, "{1}\t"),
    "a character too many": with_part(1, "{1}AAAAA"),
    "plus of the other alphabet": with_part(2, "+{2}"),
    "slash of the other alphabet": with_part(2, "/{2}"),
    "percent-encoded": with_part(2, "{2}%3D"),
    "letter outside ASCII": with_part(2, "\xe9{2}"),
    "header's unused bits set": reencoding(0),
    "claims' unused bits set": reencoding(1),
    "signature's unused bits set": reencoding(2),
    "over 8 KiB": long,
    "far over 8 KiB": lambda s, u: s.token(u, pad="x" * 30_000),
    "two tokens in one header": lambda s, u: f"{s.token(u)}, Bearer {s.token(u)}",
    "in quotes": lambda s, u: f'"{s.token(u)}"',
    "JSON serialisation": json_general,
}


@pytest.mark.parametrize("name", FORM)
def test_a_token_of_another_form_is_malformed(name: str, assert_refused: AssertRefused) -> None:
    assert_refused(FORM[name], "token_malformed")


async def test_a_token_may_be_as_long_as_8_kib(authenticator: Authenticator) -> None:
    """The control of the length."""
    for signer in (secret_signer(), key_signer()):
        text = of_the_largest_size(signer, "alice")
        assert 8190 < len(text) <= 8192
        assert await identify(authenticator, text) == "alice"


@pytest.mark.parametrize("signer", [secret_signer(), key_signer()], ids=["secret", "keys"])
async def test_every_other_spelling_of_a_signature_is_malformed(
    signer: Signer, authenticator: Authenticator
) -> None:
    """The unused bits of the last character are zero; others would decode to the same bytes."""
    for number in range(64):
        good = signer.token("alice", jti=number)
        assert await identify(authenticator, good) == "alice"
        bits = 2 if len(good.rpartition(".")[2]) % 4 == 3 else 4
        first = ALPHABET.index(good[-1])
        assert first % 2**bits == 0
        for other in ALPHABET[first + 1 : first + 2**bits]:
            assert await refusal_code(authenticator, good[:-1] + other) == "token_malformed"


async def test_a_token_may_have_many_claims(authenticator: Authenticator) -> None:
    """The control of the names that occur twice."""
    many = {f"claim {number}": number for number in range(300)}
    assert await identify(authenticator, secret_signer().token("alice", **many)) == "alice"
