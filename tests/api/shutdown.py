"""Watching a server stop."""

from __future__ import annotations

import socket

import httpx

from support.api_server import Api

# A drain longer than any wait of a test: what ends sooner did not wait for it.
LONG_DRAIN = "3600"


def refuses_connections(api: Api) -> bool:
    address = httpx.URL(api.base)
    try:
        socket.create_connection((address.host, address.port or 0), timeout=30).close()
    except ConnectionRefusedError:
        return True
    return False


def is_draining(api: Api) -> bool:
    return httpx.get(f"{api.base}/health/ready", timeout=30).status_code == 503
