"""A draining server is not ready, and yet answers requests."""

from __future__ import annotations

import signal
from http.client import HTTPConnection

import httpx

from api.shutdown import LONG_DRAIN, is_draining
from support.api_server import Serve
from support.http_contract import create, problem
from support.polling import wait_until


def test_a_draining_server_is_not_ready_and_serves_on(serve: Serve, alice: str) -> None:
    with serve(TASKAPI_DRAIN_SECONDS=LONG_DRAIN) as api, api.client(alice) as client:
        assert client.get("/health/ready").status_code == 200
        api.process.send_signal(signal.SIGTERM)
        wait_until(lambda: is_draining(api), "the server drains")
        refused = client.get("/health/ready").json()
        assert refused["code"] == "not_ready"
        assert refused["checks"] == {"database": "ok", "schema": "ok", "process": "stopping"}
        assert client.get("/health/live").status_code == 200
        task = create(client)
        assert client.get("/api/tasks").json() == [task]
        assert api.process.poll() is None


def test_a_draining_server_closes_a_connection_after_an_answer(serve: Serve) -> None:
    with serve(TASKAPI_DRAIN_SECONDS=LONG_DRAIN) as api:
        address = httpx.URL(api.base)
        connection = HTTPConnection(address.host, address.port, timeout=30)
        connection.request("GET", "/health/live")
        before = connection.getresponse()
        assert (before.status, before.getheader("connection")) == (200, None)
        before.read()
        kept = connection.sock
        assert kept is not None
        api.process.send_signal(signal.SIGTERM)
        wait_until(lambda: is_draining(api), "the server drains")

        connection.request("GET", "/health/live")
        assert connection.sock is kept, "the connection was kept until now"
        same_socket = kept.dup()  # the client closes its own with the answer
        last = connection.getresponse()
        assert (last.status, last.getheader("connection")) == (200, "close")
        last.read()
        with same_socket:
            assert same_socket.recv(1) == b"", "the server has closed it"


def test_a_draining_server_closes_a_connection_after_a_refusal(serve: Serve) -> None:
    with serve(TASKAPI_DRAIN_SECONDS=LONG_DRAIN) as api, api.client() as client:
        api.process.send_signal(signal.SIGTERM)
        wait_until(lambda: is_draining(api), "the server drains")
        refused = client.get("/api/tasks")
        problem(refused, "token_missing")
        assert refused.headers["connection"] == "close"


def test_an_interrupt_ends_the_draining(serve: Serve) -> None:
    with serve(TASKAPI_DRAIN_SECONDS=LONG_DRAIN) as api:
        api.process.send_signal(signal.SIGTERM)
        wait_until(lambda: is_draining(api), "the server drains")
        assert api.stop(signal.SIGINT) == 0
