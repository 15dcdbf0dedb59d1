"""A token has one form, one encoding and one meaning; whatever has not is malformed on any server.

Nothing here is decided by a key: each of these is signed as its server wants it, or cannot be.
"""

from __future__ import annotations

import time

import pytest

from fix_siege import Attack, Refused
from fix_tokens import Signer, as_json, b64

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def respelled(part: str) -> str:
    """The same bytes, in a spelling whose unused last bits are not zero."""
    assert len(part) % 4 != 0
    return part[:-1] + ALPHABET[ALPHABET.index(part[-1]) + 1]


def in_parts(signer: Signer, user: str) -> list[str]:
    """A good token's parts, each with unused bits at its end."""
    header = as_json(dict(signer.header))
    claims = as_json(signer.says(user))
    header, claims = (part + b" " * (len(part) % 3 == 0) for part in (header, claims))
    return signer.text(header, claims).split(".")


def with_part(number: int, part: str) -> Attack:
    def attack(signer: Signer, user: str) -> str:
        parts = in_parts(signer, user)
        parts[number] = part.format(*parts)
        return ".".join(parts)

    return attack


def respelling(number: int) -> Attack:
    def attack(signer: Signer, user: str) -> str:
        parts = in_parts(signer, user)
        parts[number] = respelled(parts[number])
        return ".".join(parts)

    return attack


def long(signer: Signer, user: str) -> str:
    """One byte longer than may be, as near as three bytes in four characters come to it."""
    text = signer.token(user, pad="x" * (8192 * 3 // 4))
    claims = signer.says(user)
    while len(text) > 8192 + 4:
        claims["pad"] = claims.get("pad", "x" * 6000)[:-1]
        text = signer.text(as_json(dict(signer.header)), as_json(claims))
    assert len(text) > 8192
    return text


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
    "header's unused bits set": respelling(0),
    "claims' unused bits set": respelling(1),
    "signature's unused bits set": respelling(2),
    "over 8 KiB": long,
    "far over 8 KiB": lambda s, u: s.token(u, pad="x" * 30_000),
    "two tokens in one header": lambda s, u: f"{s.token(u)}, Bearer {s.token(u)}",
    "in quotes": lambda s, u: f'"{s.token(u)}"',
    "JSON serialisation": json_general,
}


@pytest.mark.parametrize("name", FORM)
def test_a_token_of_another_form_is_malformed(name: str, refused: Refused) -> None:
    refused(FORM[name], "token_malformed")


def wrong_header(header: bytes) -> Attack:
    """A header that would name the right algorithm, if it were one; truly signed."""

    def attack(signer: Signer, user: str) -> str:
        good = as_json(dict(signer.header))
        return signer.text(header.replace(b"GOOD", good[1:-1]), as_json(signer.says(user)))

    return attack


def wrong_claims(claims: str, encoding: str = "utf-8") -> Attack:
    """Claims that would be good, if they were claims; truly signed."""

    def attack(signer: Signer, user: str) -> str:
        good = as_json(signer.says(user, exp=...)).decode()[1:-1]
        text = claims.replace("GOOD", good).replace("LATER", str(int(time.time()) + 600))
        return signer.text(as_json(dict(signer.header)), text.encode(encoding))

    return attack


JSON: dict[str, Attack] = {
    "header is no JSON": wrong_header(b"GOOD"),
    "header is a list": wrong_header(b"[{GOOD}]"),
    "header is a number": wrong_header(b"1"),
    "header in UTF-16": lambda s, u: s.text(
        as_json(dict(s.header)).decode().encode("utf-16"), as_json(s.says(u))
    ),
    "a name twice in the header": wrong_header(b'{GOOD,"kid":"a","kid":"a"}'),
    "alg twice in the header": wrong_header(b'{"alg":"none",GOOD}'),
    "no alg": lambda s, u: s.token(u, {"alg": ...}),
    "alg is null": lambda s, u: s.token(u, {"alg": None}),
    "alg is a number": lambda s, u: s.token(u, {"alg": 256}),
    "alg is a list": lambda s, u: s.token(u, {"alg": [s.header["alg"]]}),
    "claims are no JSON": wrong_claims('GOOD,"exp":LATER'),
    "claims are a list": wrong_claims('[{GOOD,"exp":LATER}]'),
    "claims are a string": wrong_claims('"sub"'),
    "claims are null": wrong_claims("null"),
    "claims with something behind": wrong_claims('{GOOD,"exp":LATER}{}'),
    "claims with a comma too many": wrong_claims('{GOOD,"exp":LATER,}'),
    "claims in UTF-16": wrong_claims('{GOOD,"exp":LATER}', "utf-16"),
    "claims in UTF-16, unmarked": wrong_claims('{GOOD,"exp":LATER}', "utf-16-le"),
    "claims with a byte order mark": wrong_claims('{GOOD,"exp":LATER}', "utf-8-sig"),
    "claims in Latin-1": wrong_claims('{GOOD,"exp":LATER,"name":"\xe9"}', "latin-1"),
    "sub twice": wrong_claims('{"sub":"somebody",GOOD,"exp":LATER}'),
    "exp twice": wrong_claims('{GOOD,"exp":1,"exp":LATER}'),
    "sub twice, once escaped": wrong_claims('{"\\u0073ub":"x",GOOD,"exp":LATER}'),
    "a name twice, deep inside": wrong_claims('{GOOD,"exp":LATER,"a":[{"b":1,"b":2}]}'),
    "exp is NaN": wrong_claims('{GOOD,"exp":NaN}'),
    "exp is Infinity": wrong_claims('{GOOD,"exp":Infinity}'),
    "exp is -Infinity": wrong_claims('{GOOD,"exp":-Infinity}'),
    "NaN elsewhere": wrong_claims('{GOOD,"exp":LATER,"a":NaN}'),
    "exp of 5,000 digits": wrong_claims('{GOOD,"exp":' + "9" * 5000 + "}"),
    "claims too deep": wrong_claims('{GOOD,"exp":LATER,"a":' + "[" * 2500 + "]" * 2500 + "}"),
}


@pytest.mark.parametrize("name", JSON)
def test_a_token_that_says_nothing_certain_is_malformed(name: str, refused: Refused) -> None:
    refused(JSON[name], "token_malformed")
