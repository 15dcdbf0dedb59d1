"""Connections end before descriptors do: the longest silent one goes, a request in flight never."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from support.limited_server import ServeLimited
from support.polling import wait_until
from support.raw_http import GET, RawClient, connected, head
from support.row_locks import LockRow, WaitForBlocked
from taskapi.connections import Connections, connection_limit
from taskcore import TaskRead

DESCRIPTORS = 128
POOL = 10
# All but those of the pool, two for each connection, and a reserve of 64.
LIMIT = DESCRIPTORS - 2 * POOL - 64
WARNING = f"{LIMIT} connections are open"


def served(client: RawClient) -> bool:
    client.send(GET)
    return client.answer().status == 200


def test_silent_connections_keep_no_client_out(serve_limited: ServeLimited) -> None:
    with serve_limited(descriptors=DESCRIPTORS) as api, ExitStack() as stack:
        for _ in range(3 * LIMIT):
            stack.enter_context(connected(api))
        with connected(api) as client:
            assert served(client)
        log = api.log.read_text()
    assert log.count(WARNING) == 1, "once a minute"
    assert "traceback" not in log


def test_without_the_limit_they_do(serve_limited: ServeLimited) -> None:
    """The control: uvicorn's own class, with as many descriptors."""
    with serve_limited(stock=True, descriptors=DESCRIPTORS) as api, ExitStack() as stack:
        for _ in range(3 * LIMIT):
            stack.enter_context(connected(api))
        with connected(api) as client:
            client.socket.settimeout(1)
            client.send(GET)
            with pytest.raises((TimeoutError, ConnectionError, AssertionError)):
                client.answer()


def test_the_longest_silent_one_is_closed_first(serve_limited: ServeLimited) -> None:
    with serve_limited(descriptors=DESCRIPTORS) as api, ExitStack() as stack:
        clients = [stack.enter_context(connected(api)) for _ in range(LIMIT - 1)]
        heard = clients[0]
        assert served(heard), "and now it is not the longest silent one"
        stack.enter_context(connected(api))
        assert WARNING not in api.log.read_text()
        stack.enter_context(connected(api))
        assert clients[1].is_closed()
        assert served(heard)
        assert served(clients[2])


def test_a_request_in_flight_is_never_closed(
    serve_limited: ServeLimited, alice: str, lock_row: LockRow, wait_for_blocked: WaitForBlocked
) -> None:
    with serve_limited({"TASKAPI_DEADLINE": "60"}, descriptors=DESCRIPTORS) as api:
        with api.client(alice) as user:
            task = TaskRead.model_validate(user.post("/api/tasks", json={"title": "t"}).json())
        body = b'{"title": "changed"}'
        put = head(
            "PUT",
            f"/api/tasks/{task.id}",
            alice,
            f"Content-Length: {len(body)}",
            "Content-Type: application/json",
        )
        with connected(api) as waiting, connected(api) as sending, ExitStack() as stack:
            sending.send(put, body[:5])
            with lock_row(task):
                waiting.send(head("PATCH", f"/api/tasks/{task.id}/complete", alice))
                wait_for_blocked()
                for _ in range(2 * LIMIT):
                    stack.enter_context(connected(api))
                wait_until(lambda: WARNING in api.log.read_text(), "the limit was reached")
            assert waiting.answer().status == 200
            sending.send(body[5:])
            assert sending.answer().status == 200


class Counted:
    """A connection that is closed at once."""

    def __init__(self, all: Connections) -> None:
        self.all = all

    def close(self) -> None:
        self.all.remove(self)

    def tick(self, seconds: float) -> None: ...


def test_the_warning_counts_what_it_has_not_told(caplog: pytest.LogCaptureFixture) -> None:
    all = Connections(limit=2)
    for _ in range(10):
        all.add(Counted(all))
        all.sweep()
    assert len(all.open) == 2
    assert [record.args for record in caplog.records] == [(2, 1)]


def test_the_limit_leaves_descriptors_for_the_rest() -> None:
    """A connection to the database has two."""
    assert connection_limit(10) - connection_limit(110) == 200
