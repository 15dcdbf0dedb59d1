"""Answers over TLS are read whole, although the socket says nothing of the rest of a record."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.loop_operations import connections_of, count_calls, texts
from core.tls_proxy import RECORD, TlsProxy, at_once, tls_proxy
from taskcore import AsyncDatabase, DeadlineExceeded, list_tasks
from taskcore.execution import loop_pool
from taskcore.execution.loop_connection import LoopConnection

AROUND = [base + more for base in (8_192, 16_384, 24_576, 32_768, 65_536) for more in (-1, 0, 1)]


@pytest.fixture
def tls(url: str, tmp_path: Path) -> Iterator[tuple[TlsProxy, str]]:
    with tls_proxy(url, tmp_path) as found:
        yield found


@pytest.fixture
def sweeps(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """No sweep comes before a deadline; the number of looks at connections."""
    monkeypatch.setattr(loop_pool, "_SWEEP_SECONDS", 3600.0)
    return count_calls(monkeypatch, LoopConnection, "expire")


def full_records_last(records: int) -> Callable[[int], list[int]]:
    """First a part that ends within a row, then so many full records at once.

    libpq has the beginning of a row in its buffer then, and so no room for a whole record.
    """

    def divide(size: int) -> list[int]:
        last = records * RECORD
        return [size - last, last] if size > last else at_once(size)

    return divide


@pytest.mark.parametrize("records", [1, 2, 3])
async def test_the_rest_of_a_record_is_read_without_a_sweep(
    records: int, tls: tuple[TlsProxy, str], alice: str, sweeps: Callable[[], int]
) -> None:
    proxy, url = tls
    async with AsyncDatabase(url, max_size=1, timeout=10) as database:
        assert await database.run(list_tasks(alice)) == []
        (connection,) = connections_of(database)
        assert connection._pgconn.ssl_in_use
        proxy.divide = full_records_last(records)
        for number in range(20, 60):
            for length in (1_000, 1_400):
                found = await database.run(texts(alice, length, number + records * 16))
                assert [len(each) for each in found] == [length] * (number + records * 16)
        assert max(proxy.delivered) > 4 * RECORD
        assert sweeps() == 0


@pytest.mark.parametrize("number", [1, 3])
async def test_answers_of_all_sizes_are_read_without_a_sweep(
    number: int, tls: tuple[TlsProxy, str], alice: str, sweeps: Callable[[], int]
) -> None:
    proxy, url = tls
    async with AsyncDatabase(url, max_size=1, timeout=10) as database:
        for divide in (
            at_once,
            lambda size: [size // 2, size - size // 2],
            lambda size: [min(size, 100), max(0, size - 100)],
        ):
            proxy.divide = divide
            for length in AROUND:
                found = await database.run(texts(alice, length, number))
                assert [len(each) for each in found] == [length] * number
        assert sweeps() == 0


async def test_a_deadline_holds_over_tls(tls: tuple[TlsProxy, str], alice: str) -> None:
    proxy, url = tls
    async with AsyncDatabase(url, max_size=1, timeout=10) as database:
        await database.run(list_tasks(alice))
        (before,) = connections_of(database)
        proxy.divide = lambda size: [0] * 100 + [size]  # a second later
        with pytest.raises(DeadlineExceeded):
            await database.run(list_tasks(alice), timeout=0.3)
        proxy.divide = at_once
        assert await database.run(list_tasks(alice)) == []
        assert connections_of(database) != [before]
