"""A token whose JSON is invalid or ambiguous is malformed on every server."""

from __future__ import annotations

import time

import pytest

from api.refused_tokens import AssertRefused, Attack
from api.tokens import Signer, as_json


def wrong_header(header: bytes) -> Attack:
    """Sign a token with these bytes as its header; GOOD stands for the members of a correct one."""

    def attack(signer: Signer, user: str) -> str:
        good = as_json(dict(signer.header))
        return signer.text(header.replace(b"GOOD", good[1:-1]), as_json(signer.claims_for(user)))

    return attack


def wrong_claims(claims: str, encoding: str = "utf-8") -> Attack:
    """Sign a token with this text as its claims; GOOD stands for correct ones, LATER for a time."""

    def attack(signer: Signer, user: str) -> str:
        good = as_json(signer.claims_for(user, exp=...)).decode()[1:-1]
        text = claims.replace("GOOD", good).replace("LATER", str(int(time.time()) + 600))
        return signer.text(as_json(dict(signer.header)), text.encode(encoding))

    return attack


JSON: dict[str, Attack] = {
    "header is no JSON": wrong_header(b"GOOD"),
    "header is a list": wrong_header(b"[{GOOD}]"),
    "header is a number": wrong_header(b"1"),
    "header in UTF-16": lambda s, u: s.text(
        as_json(dict(s.header)).decode().encode("utf-16"), as_json(s.claims_for(u))
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
    "sub twice": wrong_claims('{"sub":"user_2",GOOD,"exp":LATER}'),
    "exp twice": wrong_claims('{GOOD,"exp":1,"exp":LATER}'),
    "sub twice, once escaped": wrong_claims('{"\\u0073ub":"x",GOOD,"exp":LATER}'),
    "a name twice, deep inside": wrong_claims('{GOOD,"exp":LATER,"a":[{"b":1,"b":2}]}'),
    "exp is NaN": wrong_claims('{GOOD,"exp":NaN}'),
    "exp is Infinity": wrong_claims('{GOOD,"exp":Infinity}'),
    "exp is -Infinity": wrong_claims('{GOOD,"exp":-Infinity}'),
    "NaN in another claim": wrong_claims('{GOOD,"exp":LATER,"a":NaN}'),
    "exp of 5,000 digits": wrong_claims('{GOOD,"exp":' + "9" * 5000 + "}"),
    "claims too deep": wrong_claims('{GOOD,"exp":LATER,"a":' + "[" * 2500 + "]" * 2500 + "}"),
}


@pytest.mark.parametrize("name", JSON)
def test_a_token_with_invalid_or_ambiguous_json_is_malformed(
    name: str, assert_refused: AssertRefused
) -> None:
    assert_refused(JSON[name], "token_malformed")
