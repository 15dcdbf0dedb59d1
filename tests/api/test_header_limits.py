"""A header section over 64 KiB, or over 100 fields, ends with 431, whatever it is made of."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from api.test_body_size import peak
from support.api_server import Api
from support.limited_server import ServeLimited
from support.raw_http import GET, RawClient, connected, head

LIMIT = 64 * 1024
FIELDS = 100
MEGABYTE = 1024 * 1024
END = b"Host: x\r\n\r\n"

LARGE: dict[str, Callable[[int], bytes]] = {
    "one field": lambda size: _filled(b"GET /health/live HTTP/1.1\r\na: ", b"\r\n" + END, size),
    "request line": lambda size: _filled(b"GET /health/live?", b" HTTP/1.1\r\n" + END, size),
    "line breaks before it": lambda size: _filled(b"", GET, size, b"\n"),
}
CHUNKED = ["Content-Type: application/json", "Transfer-Encoding: chunked"]


def _filled(start: bytes, end: bytes, size: int, filling: bytes = b"x") -> bytes:
    room = size - len(start) - len(end)
    return start + (filling * room)[:room] + end


def fields(number: int) -> bytes:
    """A whole request with so many fields, Host included."""
    return GET[:-2] + b"a:1\r\n" * (number - 1) + b"\r\n"


@pytest.mark.parametrize("what", LARGE)
def test_a_section_of_64_kib_is_served_and_a_larger_one_refused(what: str, api: Api) -> None:
    with connected(api) as client:
        client.send(LARGE[what](LIMIT))
        assert client.answer().status == 200
        client.send(LARGE[what](LIMIT + 1))
        client.is_refused("headers_too_large")


def test_a_hundred_fields_are_served_and_one_more_refused(api: Api) -> None:
    with connected(api) as client:
        client.send(fields(FIELDS))
        assert client.answer().status == 200
        client.send(fields(FIELDS + 1))
        client.is_refused("headers_too_large")


@pytest.mark.parametrize("unfinished", [b"a:1\r\n" * 101 + b"b", b"a: " + b"x" * LIMIT])
def test_a_section_is_refused_before_it_ends(unfinished: bytes, api: Api) -> None:
    with connected(api) as client:
        client.send(b"GET / HTTP/1.1\r\n", unfinished)
        client.is_refused("headers_too_large")


@pytest.mark.parametrize(
    "unfinished",
    [
        b"5;" + b"x" * LIMIT,
        b'5\r\n{"a":\r\n' + b"5;a=b" * (LIMIT // 5),
        b"0\r\na: " + b"x" * LIMIT,
        b"0\r\n" + b"a:1\r\n" * FIELDS,
        b"0\r\n" + b"a:1\r\n" * FIELDS + b"\r\n",
    ],
    ids=["extension", "second extension", "trailer", "trailers", "trailers, to their end"],
)
def test_chunk_extensions_and_trailers_count(unfinished: bytes, api: Api, alice: str) -> None:
    with connected(api) as client:
        client.send(head("POST", "/api/tasks", alice, *CHUNKED), unfinished)
        client.is_refused("headers_too_large")


def test_a_body_does_not_count_however_it_is_chunked(api: Api, alice: str) -> None:
    body = b'{"title": "t"}'.ljust(2 * LIMIT)
    with connected(api) as client:
        client.send(head("POST", "/api/tasks", alice, *CHUNKED))
        client.send(b"".join(b"1\r\n%c\r\n" % byte for byte in body), b"0\r\n\r\n")
        assert client.answer().status == 201


def test_requests_on_one_connection_are_counted_apart(api: Api) -> None:
    number = 5 * LIMIT // len(fields(FIELDS))
    with connected(api) as client:
        client.send(fields(FIELDS) * number)
        assert {client.answer().status for _ in range(number)} == {200}


def test_a_request_before_it_is_answered_first(api: Api) -> None:
    with connected(api) as client:
        client.send(GET + fields(FIELDS + 1))
        assert client.answer().status == 200
        client.is_refused("headers_too_large")


def send_small_fields(client: RawClient, megabytes: int) -> None:
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\n")
    for _ in range(megabytes):
        client.send(b"abcdefgh: 1\r\n" * (MEGABYTE // 13))


def test_sixty_megabytes_of_small_fields_are_not_kept(serve_limited: ServeLimited) -> None:
    with serve_limited() as api, connected(api) as client:
        before = peak(api)
        send_small_fields(client, 60)
        client.is_refused("headers_too_large")
        assert peak(api) - before < 10 * MEGABYTE


def test_uvicorns_own_class_keeps_them(serve_limited: ServeLimited) -> None:
    """The control, with a tenth of it."""
    with serve_limited(stock=True) as api, connected(api) as client:
        before = peak(api)
        send_small_fields(client, 6)
        client.send(b"\r\n")
        assert client.answer().status == 404
        assert peak(api) - before > 50 * MEGABYTE


def test_uvicorns_own_class_takes_a_field_of_any_size(serve_limited: ServeLimited) -> None:
    """The control."""
    with serve_limited(stock=True) as api, connected(api) as client:
        client.send(LARGE["one field"](10 * MEGABYTE))
        assert client.answer().status == 200
