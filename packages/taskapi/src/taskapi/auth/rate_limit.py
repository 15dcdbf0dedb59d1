"""A rate limit: a token bucket, which allows a short burst and then one event in each interval."""

from __future__ import annotations


class RateLimit:
    """Allows at most `burst + t / interval` events in any period of `t` seconds."""

    def __init__(self, *, burst: int, interval: float) -> None:
        self._interval = interval
        self._size = burst * interval
        # The bucket's content is kept as one time: that at which it is full again.
        self._full_at = float("-inf")

    def allows(self, now: float) -> bool:
        """Whether an event may happen now; if so, it is counted."""
        full_at = max(self._full_at, now) + self._interval
        if full_at - now > self._size:
            return False
        self._full_at = full_at
        return True
