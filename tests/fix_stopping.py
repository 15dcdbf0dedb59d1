"""Watching a server stop."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

import httpx

from fix_api import Api

# A drain longer than any wait of a test: what ends sooner did not wait for it.
FOR_EVER = "3600"


def eventually(what: str, holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline, f"{what}: not within 30 seconds"
        time.sleep(0.02)


def refuses_connections(api: Api) -> bool:
    address = httpx.URL(api.base)
    try:
        socket.create_connection((address.host, address.port or 0), timeout=30).close()
    except ConnectionRefusedError:
        return True
    return False


def is_draining(api: Api) -> bool:
    return httpx.get(f"{api.base}/health/ready", timeout=30).status_code == 503
