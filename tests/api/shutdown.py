"""The state of a server that is stopping."""

from __future__ import annotations

import socket

import httpx

from support.api_server import Api

# Longer than any test waits, so a server that ends has not waited for the end of the drain.
LONG_DRAIN = "3600"


def refuses_connections(api: Api) -> bool:
    address = httpx.URL(api.base)
    try:
        socket.create_connection((address.host, address.port or 0), timeout=30).close()
    except (ConnectionRefusedError, ConnectionResetError):
        return True  # reset: it was still in the queue of the listener that closed
    return False


def is_draining(api: Api) -> bool:
    return httpx.get(f"{api.base}/health/ready", timeout=30).status_code == 503
