"""A token is read from one place only: one `Authorization` header, after the word Bearer."""

from __future__ import annotations

from base64 import b64encode

import httpx
import pytest

from api.refused_tokens import AssertRefused, Attack, Sent
from api.tokens import Signer
from support.api_server import Api, token


def sent(*headers: tuple[str, str], **query: str) -> Attack:
    """Send these headers and this query, with the good token in the place of TOKEN."""

    def attack(signer: Signer, user: str) -> Sent:
        good = signer.token(user)
        return Sent(
            [(name, value.replace("TOKEN", good)) for name, value in headers],
            [(name, value.replace("TOKEN", good)) for name, value in query.items()],
        )

    return attack


def authorization(*values: str) -> Attack:
    return sent(*(("Authorization", value) for value in values))


def basic(signer: Signer, user: str) -> Sent:
    pair = b64encode(f"{user}:{signer.token(user)}".encode()).decode()
    return Sent([("Authorization", f"Basic {pair}")])


MISSING: dict[str, Attack] = {
    "no header": sent(),
    "empty": authorization(""),
    "the word alone": authorization("Bearer"),
    "the token alone": authorization("TOKEN"),
    "no space": authorization("BearerTOKEN"),
    "a tab for a space": authorization("Bearer\tTOKEN"),
    "a colon": authorization("Bearer: TOKEN"),
    "Basic with a token": authorization("Basic TOKEN"),
    "Basic": basic,
    "Digest": authorization('Digest username="TOKEN"'),
    "DPoP": authorization("DPoP TOKEN"),
    "Token": authorization("Token TOKEN"),
    "JWT": authorization("JWT TOKEN"),
    "another header": sent(("X-Authorization", "Bearer TOKEN"), ("X-Access-Token", "TOKEN")),
    "a header of HTTP": sent(("Accept", "Bearer TOKEN"), ("User-Agent", "Bearer TOKEN")),
    "for a proxy": sent(("Proxy-Authorization", "Bearer TOKEN")),
    "cookie": sent(
        ("Cookie", "token=TOKEN; access_token=TOKEN; better-auth.session_token=TOKEN; jwt=TOKEN")
    ),
    "cookie with the word": sent(("Cookie", "Authorization=Bearer TOKEN")),
    "query": sent(access_token="TOKEN", token="TOKEN", jwt="TOKEN", authorization="Bearer TOKEN"),
}
MALFORMED: dict[str, Attack] = {
    "the same one twice": authorization("Bearer TOKEN", "Bearer TOKEN"),
    "good and broken": authorization("Bearer TOKEN", "Bearer x"),
    "broken and good": authorization("Bearer x", "Bearer TOKEN"),
    "good and Basic": authorization("Bearer TOKEN", "Basic eDp5"),
    "good and empty": authorization("Bearer TOKEN", ""),
    "the word twice": authorization("Bearer Bearer TOKEN"),
    "as a parameter": authorization('Bearer token="TOKEN"'),
    "text after the token": authorization("Bearer TOKEN x"),
}


@pytest.mark.parametrize("name", MISSING)
def test_a_token_in_the_wrong_place_is_missing(name: str, assert_refused: AssertRefused) -> None:
    assert_refused(MISSING[name], "token_missing")


@pytest.mark.parametrize("name", MALFORMED)
def test_an_ambiguous_header_is_malformed(name: str, assert_refused: AssertRefused) -> None:
    assert_refused(MALFORMED[name], "token_malformed")


@pytest.mark.parametrize("word", ["Bearer", "bearer", "BEARER", "Bearer  "])
def test_bearer_may_be_written_in_any_case(word: str, api: Api, alice: str) -> None:
    """The control: a correct header is accepted, and a token elsewhere changes nothing."""
    headers = {"Authorization": f"{word} {token(alice)}", "Cookie": "token=x"}
    answer = httpx.get(f"{api.base}/api/tasks", headers=headers, params={"token": "x"})
    assert (answer.status_code, answer.json()) == (200, [])
