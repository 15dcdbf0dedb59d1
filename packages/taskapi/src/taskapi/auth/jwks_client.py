"""The client of a JWKS endpoint: it fetches the key set and keeps it up to date.

One fetch runs at a time, and a token whose key is known never waits for it. The set is fetched

- before its lifetime ends,
- after a failed fetch, with growing pauses; with the shortest one if a token needs a key while
  there are none,
- when a token names an unknown key, as often as a rate limit allows, so that invented names cause
  little load.

While the endpoint fails, the fetched keys are used up to `stale_limit`. A set without a usable key
is an answer: the keys are dropped, and the set is fetched again as after a failure.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from time import monotonic

from taskapi.problems import KEYS_UNAVAILABLE, Problem
from taskapi.telemetry.counters import count_key_fetch

from . import key_request
from .key_set import Key, UnusableKeySet, parse
from .rate_limit import RateLimit

LIFETIME = 600.0
_REFRESH_AFTER = 0.8 * LIFETIME
_RETRY_DELAYS = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
# After a failed fetch the next one starts so much later, also if tokens wait for it.
_SHORTEST_PAUSE = 1.0
_UNKNOWN_KEY_BURST = 3
_UNKNOWN_KEY_INTERVAL = 20.0

_log = logging.getLogger(__name__)


class JwksClient:
    """The keys of one JWKS URL."""

    # When the keys were fetched, by a clock that needs no running loop.
    _age_since: float

    def __init__(self, url: str, *, stale_limit: float, on_change: Callable[[], None]) -> None:
        self.url = url
        self._stale_limit = stale_limit
        self._on_change = on_change
        self._keys: Mapping[str, Key] = {}
        self._content: bytes | None = None
        self._fetched_at: float | None = None
        self._unknown_key_fetches = RateLimit(
            burst=_UNKNOWN_KEY_BURST, interval=_UNKNOWN_KEY_INTERVAL
        )
        self._failures = 0
        self._failed_at = float("-inf")
        self._wanted = False
        self._rescheduled = asyncio.Event()
        self._fetching: asyncio.Task[None] | None = None
        self._refreshing: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Start the task that fetches the keys, now and regularly; do not wait for it."""
        self._http = key_request.client(self.url)
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

    @property
    def count(self) -> int:
        """The number of usable keys."""
        return len(self._keys)

    @property
    def age(self) -> float | None:
        """Seconds since the key set was fetched; may be asked by any thread."""
        return None if self._fetched_at is None else monotonic() - self._age_since

    async def key(self, key_id: object) -> Key | None:
        """The key with this `kid`, or None; 503 while there are no keys at all."""
        if not self.loaded and (self._fetching is not None or self._pause_is_over()):
            await self._fetch()
        if self.loaded and isinstance(key_id, str) and key_id not in self._keys:
            await self._look_up(key_id)
        if not self.loaded:
            raise Problem(KEYS_UNAVAILABLE, headers={"Retry-After": self._retry_after()})
        return self._keys.get(key_id) if isinstance(key_id, str) else None

    async def _look_up(self, key_id: str) -> None:
        """Fetch the set because it lacks this key."""
        if self._fetching is not None:
            await self._fetch()
        # The fetch that was already running may have answered before the key existed.
        if key_id not in self._keys and self._may_fetch_for_unknown_key():
            await self._fetch()

    def _pause_is_over(self) -> bool:
        return _now() >= self._failed_at + _SHORTEST_PAUSE

    def _retry_after(self) -> str:
        """Let the next fetch start after the shortest pause; return the seconds until then."""
        self._wanted = True
        self._rescheduled.set()
        return str(max(1, math.ceil(self._due_at() - _now())))

    def _may_fetch_for_unknown_key(self) -> bool:
        if self._fetching is not None:  # another token's: it has started after this token came
            return True
        return self._pause_is_over() and self._unknown_key_fetches.allows(_now())

    def _due_at(self) -> float:
        """The time of the next fetch."""
        if not self._failures and self._fetched_at is not None:
            return self._fetched_at + _REFRESH_AFTER
        delay = _RETRY_DELAYS[min(self._failures, len(_RETRY_DELAYS)) - 1]
        return self._failed_at + (_SHORTEST_PAUSE if self._wanted else delay)

    async def _refresh(self) -> None:
        while True:
            await self._fetch()
            while (seconds := self._due_at() - _now()) > 0:
                self._rescheduled.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(seconds):
                        await self._rescheduled.wait()

    async def _fetch(self) -> None:
        """Wait for the running fetch, or start one. A failed fetch is logged and not raised."""
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._fetch_once())
        # A waiter that is cancelled does not cancel the fetch that others wait for.
        await asyncio.shield(self._fetching)

    async def _fetch_once(self) -> None:
        self._wanted = False
        try:
            content = await key_request.download(self._http, self.url)
            keys = self._keys if content == self._content else parse(content)
        except Exception as error:  # whatever it is: the refreshing task goes on
            self._fail(_reason(error))
            count_key_fetch("failed")
        else:
            self._fetched_at, self._age_since = _now(), monotonic()
            self._take(keys, content)
            count_key_fetch("ok" if keys else "empty")
            if keys:
                self._failures = 0
            else:  # an answer: keys that are not listed any more do not count
                self._fail("the set has no usable key")
        finally:
            self._fetching = None
            self._rescheduled.set()

    def _fail(self, reason: str) -> None:
        self._failures += 1
        self._failed_at = _now()
        # `loaded` also discards keys that are now too old, and the tokens they verified.
        kept = "" if self.loaded else "; there are none"
        _log.warning("the keys could not be fetched (%s)%s", reason, kept)

    def _take(self, keys: Mapping[str, Key], content: bytes | None) -> None:
        if content != self._content:
            self._keys, self._content = keys, content
            self._on_change()


def _now() -> float:
    """The time of the running loop, by which its sleeps and timeouts are measured."""
    return asyncio.get_running_loop().time()


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, UnusableKeySet) else type(error).__name__
