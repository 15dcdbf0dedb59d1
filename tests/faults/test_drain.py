"""SIGTERM during requests: the requests in flight are answered, and the process exits with 0."""

from __future__ import annotations

import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import psycopg
import pytest

from support.api_server import Serve
from support.http_contract import create
from support.load import send
from support.polling import wait_until

IN_FLIGHT = 20
IDLE = 10
# The limits are long, so that on a busy machine no request times out before all are in flight.
TERMS = {
    "TASKAPI_POOL_SIZE": str(IN_FLIGHT),
    "TASKAPI_POOL_WAIT": "25",
    "TASKAPI_STATEMENT_TIMEOUT": "25",
    "TASKAPI_DEADLINE": "25",
}


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_requests_in_flight_are_answered_unless_the_process_is_killed(
    how: signal.Signals, serve: Serve, url: str, alice: str
) -> None:
    with (
        serve(**TERMS) as api,
        api.client(alice) as client,
        psycopg.connect(url) as holder,
        ThreadPoolExecutor(IN_FLIGHT) as threads,
    ):
        task = create(client)
        path = f"/api/tasks/{task['id']}"
        holder.execute("SELECT FROM tasks WHERE id = %s FOR UPDATE", [task["id"]])
        slow = [
            threads.submit(send, lambda: client.patch(f"{path}/complete")) for _ in range(IN_FLIGHT)
        ]
        ours = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        locked = f"{ours} AND wait_event_type = 'Lock'"
        with psycopg.connect(url, autocommit=True) as admin:

            def waiting() -> int:
                row = admin.execute(locked.encode()).fetchone()
                return int(row[0]) if row else 0

            wait_until(lambda: waiting() == IN_FLIGHT, "requests in flight")
        parts = urlsplit(api.base)
        idle = [socket.create_connection((parts.hostname, parts.port)) for _ in range(IDLE)]
        for sock in idle:
            sock.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
            sock.settimeout(30)
            answer = b""
            while not answer.endswith(b"}"):
                answer += sock.recv(4096)
            assert answer.startswith(b"HTTP/1.1 200")
        api.process.send_signal(how)
        if how == signal.SIGTERM:
            assert all(sock.recv(4096) == b"" for sock in idle), (
                "an idle connection was not closed at once"
            )
        holder.rollback()
        statuses = {future.result(60).status for future in slow}
        code = api.process.wait(60)
        for sock in idle:
            sock.close()
    assert (statuses, code) == (({200}, 0) if how == signal.SIGTERM else ({0}, -signal.SIGKILL))
