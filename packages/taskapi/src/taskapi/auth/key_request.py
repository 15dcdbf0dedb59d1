"""The request for a key set: one text for the server and for `taskcli doctor`.

An https URL is asked through the proxy that the environment names. A URL on loopback is asked
directly: a proxy would look for it on its own machine.
"""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from taskapi.settings import ConfigurationError, is_loopback

from .key_set import UnusableKeySet

TIMEOUT = 5.0
_MAX_BYTES = 256 * 1024


class WrongStatus(UnusableKeySet):
    """The answer's status is not 200."""

    def __init__(self, status: int, location: str | None) -> None:
        super().__init__(f"status {status}")
        self.status = status
        self.location = location


def client(url: str) -> httpx.AsyncClient:
    """A client for this URL only."""
    try:
        transport = httpx.AsyncHTTPTransport(proxy=proxy(url))
    except (ValueError, ImportError) as error:
        raise ConfigurationError(
            "the proxy of HTTPS_PROXY or ALL_PROXY cannot be used for the key set: name an http or "
            "https proxy, or put the host of the key set into NO_PROXY"
        ) from error
    return httpx.AsyncClient(
        # With a transport of its own, the client reads no proxy from the environment.
        transport=transport,
        follow_redirects=False,
        timeout=TIMEOUT,
        # Without compression the limit of bytes also limits the size in memory.
        headers={"Accept": "application/json", "Accept-Encoding": "identity"},
    )


def proxy(url: str) -> str | None:
    """URL of the environment's proxy for this URL: HTTPS_PROXY or ALL_PROXY, unless NO_PROXY."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if is_loopback(host) or proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    proxies = getproxies()
    found = proxies.get(parts.scheme) or proxies.get("all")
    return found if found is None or "://" in found else f"http://{found}"


async def download(http: httpx.AsyncClient, url: str) -> bytes:
    """The document at the URL; UnusableKeySet if its status is not 200, or if it is too large."""
    async with asyncio.timeout(TIMEOUT), http.stream("GET", url) as response:
        if response.status_code != httpx.codes.OK:
            raise WrongStatus(response.status_code, response.headers.get("location"))
        content = bytearray()
        async for part in response.aiter_raw():
            content += part
            if len(content) > _MAX_BYTES:
                raise UnusableKeySet("it is too large")
        return bytes(content)
