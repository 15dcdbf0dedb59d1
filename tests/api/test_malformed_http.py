"""What is no HTTP request is a problem document too, with a request id and a line in the log."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from support.api_server import ORIGIN, Api
from support.http_contract import create
from support.limited_server import ServeLimited
from support.polling import wait_until
from support.raw_http import GET, connected, head
from support.row_locks import LockRow, WaitForBlocked
from taskcore import TaskRead

LINE = b"GET /health/live HTTP/1.1\r\n"
MALFORMED: dict[str, bytes] = {
    "no HTTP": b"hello\r\n\r\n",
    "a TLS handshake": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "no method": b"G\0T / HTTP/1.1\r\nHost: x\r\n\r\n",
    "no Host": LINE + b"a: b\r\n\r\n",
    "two Hosts": LINE + b"Host: x\r\nHost: x\r\n\r\n",
    "two Hosts in HTTP/1.0": b"GET / HTTP/1.0\r\nHost: x\r\nhost: y\r\n\r\n",
    "HTTP/0.9": b"GET / HTTP/0.9\r\nHost: x\r\n\r\n",
    "no version": b"GET /\r\nHost: x\r\n\r\n",
    "HTTP/2.0": b"GET / HTTP/2.0\r\nHost: x\r\n\r\n",
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/1.2": b"GET / HTTP/1.2\r\nHost: x\r\n\r\n",
    "bytes beyond ASCII in the path": b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
    "a tunnel": b"CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\n",
    "a space before the colon": LINE + b"Host: x\r\na : b\r\n\r\n",
    "a NUL in a field": LINE + b"Host: x\r\na: \0\r\n\r\n",
    "two lengths": LINE + b"Host: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "a length and chunks": LINE
    + b"Host: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
}
WELL_FORMED: dict[str, bytes] = {
    "the one that the others spoil": GET,
    "HTTP/1.0 without Host": b"GET /health/live HTTP/1.0\r\n\r\n",
    "an empty Host": LINE + b"Host:\r\n\r\n",
    "line breaks before it": b"\r\n\r\n" + GET,
}
UPGRADE = ["Connection: Upgrade", "Upgrade: websocket"]
JSON = "Content-Type: application/json"
BODY = b'{"title": "after an upgrade"}'


@pytest.mark.parametrize("what", MALFORMED)
def test_malformed_http_is_a_problem(what: str, api: Api) -> None:
    # The line that the origin stands in comes first where there are lines.
    sent = MALFORMED[what].replace(b"\r\nHost", f"\r\nOrigin: {ORIGIN}\r\nHost".encode(), 1)
    with connected(api) as client:
        client.send(sent)
        document = client.is_refused("malformed_request")
    wait_until(lambda: document["request_id"] in api.log.read_text(), "its line in the log")
    lines = [line for line in api.log.read_text().splitlines() if document["request_id"] in line]
    [line] = map(json.loads, lines)
    assert (line["logger"], line["status"], line["method"]) == ("taskapi.access", 400, None)


@pytest.mark.parametrize("what", WELL_FORMED)
def test_what_is_well_formed_is_served(what: str, api: Api) -> None:
    with connected(api) as client:
        client.send(WELL_FORMED[what])
        assert client.answer().status == 200


def test_uvicorns_own_class_serves_some_of_it(serve_limited: ServeLimited) -> None:
    """The control; and what it refuses, it refuses in plain text."""
    with serve_limited(stock=True) as api:
        for what in ("no Host", "two Hosts", "HTTP/0.9", "HTTP/2.0", "no version"):
            with connected(api) as client:
                client.send(MALFORMED[what])
                assert client.answer().status in (200, 404), what
        with connected(api) as client:
            client.send(MALFORMED["no HTTP"])
            refused = client.answer()
    assert (refused.status, refused.headers["x-request-id"]) == (400, None)
    assert refused.headers["content-type"] == "text/plain; charset=utf-8"


def test_a_body_that_breaks_off_the_form_is_a_problem_of_its_request(api: Api, alice: str) -> None:
    with connected(api) as client:
        chunked = head("POST", "/api/tasks", alice, JSON, "Transfer-Encoding: chunked")
        client.send(chunked + b"5\r\n", b'{"a":\r\n', b"no size\r\n")
        document = client.is_refused("malformed_request")
    wait_until(lambda: document["request_id"] in api.log.read_text(), "its line in the log")
    [line] = [line for line in api.log.read_text().splitlines() if document["request_id"] in line]
    told: dict[str, Any] = json.loads(line)
    assert (told["status"], told["method"], told["route"]) == (400, "POST", "/api/tasks")
    assert told["user"] == alice


def test_it_waits_for_the_answers_before_it(
    api: Api,
    alice: str,
    lock_row: LockRow,
    wait_for_blocked: WaitForBlocked,
) -> None:
    with api.client(alice) as client:
        task = TaskRead.model_validate(client.post("/api/tasks", json={"title": "t"}).json())
    with connected(api) as client:
        with lock_row(task):
            client.send(head("PATCH", f"/api/tasks/{task.id}/complete", alice))
            wait_for_blocked()
            client.send(MALFORMED["no HTTP"])
        assert client.answer().status == 200
        client.is_refused("malformed_request")


def test_the_log_of_a_refusal_is_a_line_of_text_too(serve_limited: ServeLimited) -> None:
    with serve_limited({"TASKAPI_LOG_FORMAT": "text"}) as api, connected(api) as client:
        client.send(MALFORMED["no HTTP"])
        name = client.is_refused("malformed_request")["request_id"]
        wait_until(lambda: f" 400 0.0 ms {name} " in api.log.read_text(), "its line in the log")


@pytest.mark.parametrize("protocol", ["websocket", "h2c", "TLS/1.0"])
def test_an_upgrade_is_ignored(protocol: str, api: Api, alice: str) -> None:
    upgrade = ["Connection: Upgrade, HTTP2-Settings", f"Upgrade: {protocol}"]
    length = f"Content-Length: {len(BODY)}"
    chunks = b"%x\r\n%b\r\n0\r\nUpgrade: x\r\n\r\n" % (len(BODY), BODY)
    with connected(api) as client:
        client.send(
            head("POST", "/api/tasks", alice, *upgrade, JSON, length)
            + BODY
            + head("POST", "/api/tasks", alice, *upgrade, JSON, "Transfer-Encoding: chunked"),
            chunks + head("GET", "/api/tasks?a=b", alice, *upgrade) + GET,
        )
        for _ in range(2):
            made = client.answer()
            assert (made.status, orjson.loads(made.body)["title"]) == (201, "after an upgrade")
        assert len(orjson.loads(client.answer().body)) == 2
        assert client.answer().status == 200


def test_uvicorns_own_class_loses_the_body_behind_an_upgrade(
    serve_limited: ServeLimited, alice: str
) -> None:
    """The control."""
    with serve_limited(stock=True) as api, connected(api) as client:
        length = f"Content-Length: {len(BODY)}"
        client.send(head("POST", "/api/tasks", alice, *UPGRADE, JSON, length) + BODY)
        assert client.answer().status == 422


def test_an_upgrade_is_counted_as_what_it_is(api: Api) -> None:
    with connected(api) as client:
        upgrade = LINE + b"Host: x\r\nConnection: Upgrade\r\nUpgrade: x\r\n"
        for size in (60_000, 60_000, 70_000):
            client.send(upgrade + b"a: " + b"x" * size + b"\r\n\r\n")
            if size < 65_536:
                assert client.answer().status == 200
        client.is_refused("headers_too_large")


def test_a_deletion_that_breaks_off_in_its_body_deletes_nothing(api: Api, alice: str) -> None:
    """The body of a DELETE is not read, but the request is done only when it is there."""
    with api.client(alice) as client:
        at = f"/api/tasks/{create(client)['id']}"
        with connected(api) as raw:
            raw.send(head("DELETE", at, alice, "Transfer-Encoding: chunked"), b"2\r\nab\r\n")
            assert client.get(at).status_code == 200
            raw.send(b"no chunk\r\n")
            raw.is_refused("malformed_request")
        assert client.get(at).status_code == 200
        # The control: the same request with a body that ends.
        with connected(api) as raw:
            raw.send(head("DELETE", at, alice, "Transfer-Encoding: chunked"))
            raw.send(b"2\r\nab\r\n", b"0\r\n\r\n")
            assert raw.answer().status == 204
        assert client.get(at).status_code == 404
