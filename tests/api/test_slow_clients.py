"""A client that is late gets 408, and its connection ends; one that is only slow notices nothing.

The limits of the server under test are short, so the clients here wait for seconds of their own:
being slow is what they are for.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

import pytest

from support.api_server import Api
from support.limited_server import ServeLimited
from support.polling import wait_until
from support.raw_http import GET, RawClient, connected, head
from support.row_locks import LockRow, WaitForBlocked
from taskapi.http_protocol import HttpProtocol
from taskcore import TaskRead

HEADER_SECONDS, BODY_SECONDS = 1.0, 1.0
# Longer than either limit with all that a sweep may add, and much longer.
LATE, MUCH_LATER = 3.5, 20.0
pytestmark = pytest.mark.long

JSON = "Content-Type: application/json"
BODY = b'{"title": "slow"}'

Send = Callable[[RawClient, str, float], None]


def post(user: str, size: int = len(BODY)) -> bytes:
    return head("POST", "/api/tasks", user, JSON, f"Content-Length: {size}")


def trickled_body(client: RawClient, user: str, seconds: float) -> None:
    client.send(post(user, 60))
    client.trickle(b" " * 40, seconds=seconds)


def trickled_chunks(client: RawClient, user: str, seconds: float) -> None:
    client.send(head("POST", "/api/tasks", user, JSON, "Transfer-Encoding: chunked"))
    client.trickle(b"1\r\n \r\n" * 20, seconds=seconds)


def later_request(client: RawClient, user: str, seconds: float) -> None:
    client.send(GET)
    assert client.answer().status == 200
    client.trickle(GET[:-2], seconds=seconds)


SLOW: dict[str, Send] = {
    "silent": lambda client, user, seconds: client.trickle(b"", seconds=seconds),
    "a header section that trickles": lambda c, user, seconds: c.trickle(GET[:-2], seconds=seconds),
    "half a header section": lambda client, user, seconds: client.send(GET[:20]),
    "line breaks": lambda client, user, seconds: client.trickle(b"\r\n" * 30, seconds=seconds),
    "a later request that trickles": later_request,
    "no body": lambda client, user, seconds: client.send(post(user)),
    "a body that trickles": trickled_body,
    "chunks that trickle": trickled_chunks,
}


@pytest.fixture
def api(serve_limited: ServeLimited) -> Iterator[Api]:
    limits = {"HEADER_SECONDS": HEADER_SECONDS, "BODY_SECONDS": BODY_SECONDS}
    with serve_limited(limits=limits) as api:
        yield api


def test_the_limits_are_the_promised_ones() -> None:
    assert (HttpProtocol.HEADER_SECONDS, HttpProtocol.BODY_SECONDS) == (10, 20)
    assert HttpProtocol.BODY_BYTES_PER_SECOND == 16 * 1024


def test_a_client_that_is_late_is_refused(api: Api, alice: str) -> None:
    for what, send in SLOW.items():
        with connected(api) as client:
            send(client, alice, MUCH_LATER)
            name = client.is_refused("request_timeout")["request_id"]
        wait_until(lambda name=name: name in api.log.read_text(), "its line in the log")  # type: ignore[misc]
        [line] = [json.loads(line) for line in api.log.read_text().splitlines() if name in line]
        expected = ("POST", "/api/tasks", alice) if "body" in what or "chunks" in what else None
        assert line["status"] == 408
        assert (line["method"], line["route"], line["user"]) == (expected or (None, None, None))


def test_uvicorns_own_class_waits_for_all_of_them(serve_limited: ServeLimited, alice: str) -> None:
    """The control: each is still served when it goes on."""
    with serve_limited(stock=True) as api, connected(api) as silent, connected(api) as half:
        half.send(GET[:-2])
        with connected(api) as slow:
            slow.send(post(alice))
            time.sleep(LATE)
            slow.send(BODY)
            assert slow.answer().status == 201
        half.send(GET[-2:])
        silent.send(GET)
        assert (half.answer().status, silent.answer().status) == (200, 200)


def test_a_body_that_nothing_reads_may_not_trickle_either(api: Api) -> None:
    with connected(api) as client:
        client.send(GET[:-2] + b"Content-Length: 10000\r\n\r\n")
        assert client.answer().status == 200
        client.trickle(b" " * 1000, seconds=MUCH_LATER)
        assert client.is_closed()


def test_a_request_before_the_late_one_is_answered(
    api: Api, alice: str, lock_row: LockRow, wait_for_blocked: WaitForBlocked
) -> None:
    with api.client(alice) as client:
        task = TaskRead.model_validate(client.post("/api/tasks", json={"title": "t"}).json())
    with connected(api) as raw:
        with lock_row(task):
            raw.send(head("PATCH", f"/api/tasks/{task.id}/complete", alice), GET[:-2])
            wait_for_blocked()
            time.sleep(LATE)
        assert raw.answer().status == 200
        raw.is_refused("request_timeout")


def test_the_clocks_stand_still_while_the_server_does_not_read(
    api: Api, alice: str, lock_row: LockRow, wait_for_blocked: WaitForBlocked
) -> None:
    with api.client(alice) as client:
        task = TaskRead.model_validate(client.post("/api/tasks", json={"title": "t"}).json())
    with connected(api) as raw:
        with lock_row(task):
            # uvicorn stops reading when a request waits behind another one that wants no body.
            raw.send(head("DELETE", f"/api/tasks/{task.id}", alice) + post(alice))
            wait_for_blocked()
            time.sleep(LATE)
        raw.send(BODY)
        assert (raw.answer().status, raw.answer().status) == (204, 201)


def test_an_upload_of_64_kb_a_second_is_not_late(api: Api, alice: str) -> None:
    size, steps = 192 * 1024, 24
    body = BODY.ljust(size)
    began = time.monotonic()
    with connected(api) as client:
        client.send(post(alice, size))
        for step in range(steps):
            time.sleep(max(0.0, began + step * 3 / steps - time.monotonic()))
            client.send(body[step * size // steps : (step + 1) * size // steps])
        assert client.answer().status == 201
    assert time.monotonic() - began > BODY_SECONDS + 1


def test_a_connection_may_idle_between_requests(api: Api) -> None:
    with connected(api) as client:
        for pause in (0.0, LATE):
            time.sleep(pause)
            client.send(GET)
            assert client.answer().status == 200


def test_an_answer_may_be_read_slowly(api: Api) -> None:
    with connected(api) as client:
        client.send(GET.replace(b"/health/live", b"/docs/assets/swagger-ui-bundle.js"))
        time.sleep(LATE)
        answer = client.answer()
        assert (answer.status, len(answer.body)) == (200, int(answer.headers["content-length"]))
        client.send(GET)
        assert client.answer().status == 200


def test_a_client_that_waits_to_be_asked_for_its_body_is_asked(api: Api, alice: str) -> None:
    with connected(api) as client:
        client.send(post(alice)[:-2] + b"Expect: 100-continue\r\n\r\n")
        assert client.answer().status == 100
        client.send(BODY)
        assert client.answer().status == 201
