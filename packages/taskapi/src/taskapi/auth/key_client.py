"""Keeps a key set fresh: one fetch at a time, and nobody whose key is known waits for it.

A set is fetched anew before its lifetime ends, and when a token names a key that is not in it
(rarely, so that invented names cost nothing). While the endpoint is away, what was fetched keeps
verifying, up to a limit.
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
_BETWEEN_UNKNOWN = 30.0
_PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
_LARGEST = 256 * 1024

_log = logging.getLogger(__name__)


class KeyClient:
    """The keys at one URL."""

    def __init__(self, url: str, *, stale_limit: float, on_change: Callable[[], None]) -> None:
        self.url = url
        self._stale_limit = stale_limit
        self._on_change = on_change
        self._keys: Mapping[str, Key] = {}
        self._content: bytes | None = None
        self._fetched_at: float | None = None
        self._asked_for_unknown_at = float("-inf")
        self._failures = 0
        self._failed_at = float("-inf")
        self._answered = False
        self._fetching: asyncio.Task[None] | None = None
        self._keeper: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Start to fetch, and to keep fresh; without waiting for either."""
        self._http = httpx.AsyncClient(
            follow_redirects=False,
            timeout=TIMEOUT,
            # A compressed answer could be any size: this one is counted as it comes.
            headers={"Accept": "application/json", "Accept-Encoding": "identity"},
        )
        self._keeper = asyncio.create_task(self._keep_fresh())

    async def close(self) -> None:
        for task in (self._keeper, self._fetching):
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        await self._http.aclose()

    @property
    def loaded(self) -> bool:
        """Whether there are keys that may still be used."""
        if self._fetched_at is not None and _now() - self._fetched_at > self._stale_limit:
            self._take({}, None)
            self._fetched_at = None
        return bool(self._keys)

    async def key(self, key_id: object) -> Key | None:
        """The key of that id, or None; 503 where no set could ever be fetched."""
        if not self.loaded:
            if self._fetching is not None or self._pause_is_over():
                await self._fetch()
            if not self.loaded:
                raise Problem(KEYS_UNAVAILABLE)
        if not isinstance(key_id, str):
            return None
        known = self._keys.get(key_id)
        # Again after a fetch that was joined: its answer may be older than the key.
        while known is None and self._may_ask_for_unknown():
            await self._fetch()
            known = self._keys.get(key_id)
        return known

    def _pause(self) -> float:
        """How long to leave the endpoint alone after so many failures."""
        return _PAUSES[min(self._failures, len(_PAUSES)) - 1]

    def _pause_is_over(self) -> bool:
        # An endpoint that answers without a key is well: Better Auth makes its first key when the
        # first token is asked for, and that token must not wait out a long pause.
        pause = _PAUSES[0] if self._answered else self._pause()
        return self._failures == 0 or _now() - self._failed_at >= pause

    def _may_ask_for_unknown(self) -> bool:
        if self._fetching is not None:  # it may bring the key
            return True
        if not self._pause_is_over():
            return False
        now = _now()
        if now - self._asked_for_unknown_at < _BETWEEN_UNKNOWN:
            return False
        self._asked_for_unknown_at = now
        return True

    async def _keep_fresh(self) -> None:
        while True:
            await self._fetch()
            await asyncio.sleep(self._pause() if self._failures else _REFRESH_AFTER)

    async def _fetch(self) -> None:
        """Join the fetch that is under way, or begin one; its failure is nobody's exception."""
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._fetch_once())
        # One waiter's hanging up is no reason to stop for the others.
        await asyncio.shield(self._fetching)

    async def _fetch_once(self) -> None:
        try:
            async with asyncio.timeout(TIMEOUT):
                content = await self._download()
            keys = self._keys if content == self._content else parse(content)
        except Exception as error:  # whatever it is, the keeper lives on
            self._failures += 1
            self._failed_at = _now()
            self._answered = isinstance(error, UnusableKeySet)
            # Keys that have just become too old end what is remembered of them, asked for or not.
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
                if len(content) > _LARGEST:
                    raise UnusableKeySet("it is too large")
            return bytes(content)

    def _take(self, keys: Mapping[str, Key], content: bytes | None) -> None:
        if content != self._content:
            self._keys, self._content = keys, content
            self._on_change()


def _now() -> float:
    """The clock that this loop's sleeps and time limits go by."""
    return asyncio.get_running_loop().time()


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, UnusableKeySet) else type(error).__name__
