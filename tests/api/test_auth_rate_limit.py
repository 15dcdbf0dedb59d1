"""The rate limit of fetches for unknown keys: what it allows at most, and what it always allows."""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskapi.auth.rate_limit import RateLimit

# Whole seconds: the arithmetic is exact.
PAUSES = st.lists(st.integers(0, 40), max_size=100)


def allowed_times(allows: Callable[[float], bool], pauses: list[int]) -> list[int]:
    return [now for now in accumulate(pauses) if allows(now)]


def assert_bounded(times: list[int], burst: int, interval: int) -> None:
    for first, start in enumerate(times):
        for last in range(first, len(times)):
            assert last - first + 1 <= burst + (times[last] - start) / interval


@given(pauses=PAUSES, burst=st.integers(1, 5), interval=st.integers(1, 30))
def test_no_period_has_more_than_the_burst_and_its_share(
    pauses: list[int], burst: int, interval: int
) -> None:
    limit = RateLimit(burst=burst, interval=interval)
    assert_bounded(allowed_times(limit.allows, pauses), burst, interval)


def test_one_event_more_than_the_bound_would_be_seen() -> None:
    """The control of the property: the same events without a limit."""
    with pytest.raises(AssertionError):
        assert_bounded(allowed_times(lambda _: True, [0, 0, 0, 19]), 3, 20)


@given(pauses=PAUSES, burst=st.integers(1, 5), interval=st.integers(1, 30))
def test_after_an_interval_one_event_is_allowed_whatever_happened(
    pauses: list[int], burst: int, interval: int
) -> None:
    limit = RateLimit(burst=burst, interval=interval)
    allowed_times(limit.allows, pauses)
    now = sum(pauses) + interval
    assert limit.allows(now)
    # And after as many intervals as the burst, all of it.
    later = now + burst * interval
    assert [limit.allows(later) for _ in range(burst + 1)] == [True] * burst + [False]
