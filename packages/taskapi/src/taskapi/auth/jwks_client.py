"""The client of a JWKS endpoint: it fetches the key set and keeps it up to date.

One fetch runs at a time, and a token whose key is known never waits for it. The set is fetched
again before its lifetime ends, and when a token names an unknown key (at most every 30 s, so that
invented names cause no load). While the endpoint fails, the fetched keys are used up to
`stale_limit`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress

import httpx

from taskapi.problems import KEYS_UNAVAILABLE, Problem

from .key_set import Key, UnusableKeySet, parse

LIFETIME = 600.0
TIMEOUT = 5.0
_REFRESH_AFTER = 0.8 * LIFETIME
_UNKNOWN_KEY_INTERVAL = 30.0
_RETRY_DELAYS = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
_MAX_BYTES = 256 * 1024

_log = logging.getLogger(__name__)


class JwksClient:
    """The keys of one JWKS URL."""

    def __init__(self, url: str, *, stale_limit: float, on_change: Callable[[], None]) -> None:
        self.url = url
        self._stale_limit = stale_limit
        self._on_change = on_change
        self._keys: Mapping[str, Key] = {}
        self._content: bytes | None = None
        self._fetched_at: float | None = None
        self._unknown_key_fetch_at = float("-inf")
        self._failures = 0
        self._failed_at = float("-inf")
        self._answered = False
        self._fetching: asyncio.Task[None] | None = None
        self._refreshing: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Start the task that fetches the keys, now and regularly; do not wait for it."""
        self._http = httpx.AsyncClient(
            follow_redirects=False,
            timeout=TIMEOUT,
            # Without compression the limit of bytes also limits the size in memory.
            headers={"Accept": "application/json", "Accept-Encoding": "identity"},
        )
        self._refreshing = asyncio.create_task(self._refresh())

    async def close(self) -> None:
        for task in (self._refreshing, self._fetching):
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        await self._http.aclose()

    @property
    def loaded(self) -> bool:
        """Whether there are keys that are not older than `stale_limit`."""
        if self._fetched_at is not None and _now() - self._fetched_at > self._stale_limit:
            self._take({}, None)
            self._fetched_at = None
        return bool(self._keys)

    async def key(self, key_id: object) -> Key | None:
        """The key with this `kid`, or None; 503 while there are no keys at all."""
        if not self.loaded:
            if self._fetching is not None or self._may_retry():
                await self._fetch()
            if not self.loaded:
                raise Problem(KEYS_UNAVAILABLE)
        if not isinstance(key_id, str):
            return None
        known = self._keys.get(key_id)
        # A fetch that was already running may answer without a key that is newer: then once more.
        while known is None and self._may_fetch_for_unknown_key():
            await self._fetch()
            known = self._keys.get(key_id)
        return known

    def _retry_delay(self) -> float:
        """Seconds between the last failed fetch and the next one."""
        return _RETRY_DELAYS[min(self._failures, len(_RETRY_DELAYS)) - 1]

    def _may_retry(self) -> bool:
        # An endpoint that answers without a key works: Better Auth makes its first key for the
        # first token that it issues, and the request with that token must not wait long.
        delay = _RETRY_DELAYS[0] if self._answered else self._retry_delay()
        return self._failures == 0 or _now() - self._failed_at >= delay

    def _may_fetch_for_unknown_key(self) -> bool:
        if self._fetching is not None:  # it may bring the key
            return True
        if not self._may_retry():
            return False
        now = _now()
        if now - self._unknown_key_fetch_at < _UNKNOWN_KEY_INTERVAL:
            return False
        self._unknown_key_fetch_at = now
        return True

    async def _refresh(self) -> None:
        while True:
            await self._fetch()
            await asyncio.sleep(self._retry_delay() if self._failures else _REFRESH_AFTER)

    async def _fetch(self) -> None:
        """Wait for the running fetch, or start one. A failed fetch is logged and not raised."""
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._fetch_once())
        # A waiter that is cancelled does not cancel the fetch that others wait for.
        await asyncio.shield(self._fetching)

    async def _fetch_once(self) -> None:
        try:
            async with asyncio.timeout(TIMEOUT):
                content = await self._download()
            keys = self._keys if content == self._content else parse(content)
        except Exception as error:  # whatever it is: the refreshing task goes on
            self._failures += 1
            self._failed_at = _now()
            self._answered = isinstance(error, UnusableKeySet)
            # `loaded` also discards keys that are now too old, and the tokens they verified.
            kept = "" if self.loaded else "; there are none"
            _log.warning("the keys could not be fetched (%s)%s", _reason(error), kept)
        else:
            self._failures = 0
            self._fetched_at = _now()
            self._take(keys, content)
        finally:
            self._fetching = None

    async def _download(self) -> bytes:
        async with self._http.stream("GET", self.url) as response:
            if response.status_code != httpx.codes.OK:
                raise UnusableKeySet(f"status {response.status_code}")
            content = bytearray()
            async for part in response.aiter_raw():
                content += part
                if len(content) > _MAX_BYTES:
                    raise UnusableKeySet("it is too large")
            return bytes(content)

    def _take(self, keys: Mapping[str, Key], content: bytes | None) -> None:
        if content != self._content:
            self._keys, self._content = keys, content
            self._on_change()


def _now() -> float:
    """The time of the running loop, by which its sleeps and timeouts are measured."""
    return asyncio.get_running_loop().time()


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, UnusableKeySet) else type(error).__name__
