"""Trailer fields after a chunked body are read and dropped: they are never headers."""

from __future__ import annotations

from contextlib import ExitStack

import orjson
import pytest

from support.api_server import Api, token
from support.limited_server import ServeLimited
from support.raw_http import GET, RawClient, connected, head

BODY = b'{"title": "t"}'
CHUNKS = b"%x\r\n%b\r\n0\r\n" % (len(BODY), BODY)
CHUNKED = ["Content-Type: application/json", "Transfer-Encoding: chunked"]
ANONYMOUS = (
    "POST /api/tasks HTTP/1.1\r\nHost: x\r\n" + "".join(f"{field}\r\n" for field in CHUNKED)
).encode() + b"\r\n"


def trailer(name: str, value: str) -> bytes:
    return f"{name}: {value}\r\n\r\n".encode()


def post_with_token_in_the_trailer(client: RawClient, user: str) -> int:
    client.send(ANONYMOUS + CHUNKS + trailer("Authorization", f"Bearer {token(user)}"))
    return client.answer().status


def test_a_token_in_the_trailer_is_no_token(api: Api, alice: str) -> None:
    with connected(api) as client:
        assert post_with_token_in_the_trailer(client, alice) == 401
        client.send(GET)
        assert client.answer().status == 200, "the connection serves on"


def test_uvicorns_own_class_takes_it_for_one(serve_limited: ServeLimited, alice: str) -> None:
    """The control."""
    with serve_limited(stock=True) as api, connected(api) as client:
        assert post_with_token_in_the_trailer(client, alice) == 201


@pytest.mark.parametrize("name", ["Idempotency-Key", "X-Request-ID", "Host", "Expect"])
def test_a_request_with_trailers_is_served_without_them(name: str, api: Api, alice: str) -> None:
    with ExitStack() as stack:
        answers = []
        for _ in range(2):
            client = stack.enter_context(connected(api))
            client.send(head("POST", "/api/tasks", alice, *CHUNKED) + CHUNKS, trailer(name, "same"))
            answers.append(client.answer())
    assert [answer.status for answer in answers] == [201, 201]
    assert len({orjson.loads(answer.body)["id"] for answer in answers}) == 2
    assert all(answer.headers["x-request-id"] != "same" for answer in answers)
