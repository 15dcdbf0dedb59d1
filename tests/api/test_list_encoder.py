"""The encoder of large lists: the bytes are those of one piece, and other tasks run meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskapi import etags, list_encoder, responses
from taskapi.list_encoder import (
    SLICE,
    VERY_LARGE,
    AnotherVeryLargeList,
    LargeBody,
    ListEncoder,
)
from taskapi.responses import Body
from taskcore.execution.op import Row
from taskcore.execution.wire import BATCH

NOW = datetime(2026, 5, 4, 10, 30, tzinfo=UTC)
# The most that one task can be: characters that JSON writes as six.
WIDE = "\x01" * 10_000


def row(number: int, description: str | None) -> Row:
    moment = NOW + timedelta(microseconds=number)
    return UUID(int=number), "user", f"task {number}", description, bool(number % 2), moment, moment


def a_list(number: int, description: str | None) -> list[Row]:
    return [row(n, description) for n in range(number)]


async def encode(
    rows: list[Row], batch: int = BATCH, *, keep: bool = True, lock: asyncio.Lock | None = None
) -> Body | LargeBody:
    encoder = ListEncoder(lock or asyncio.Lock(), keep=keep)
    try:
        for start in range(0, len(rows), batch):
            await encoder.take(rows[start : start + batch])
        return await encoder.end()
    finally:
        await encoder.close()


def content_of(body: Body | LargeBody) -> bytes:
    if isinstance(body, Body):
        return body.content
    assert body.file is not None
    with body.file:
        content = body.file.read()
    assert len(content) == body.size
    return content


ROWS = st.lists(st.none() | st.text(max_size=60), min_size=1, max_size=80)


@given(ROWS, st.integers(1, 90), st.integers(0, 12_000), st.integers(0, 12_000), st.booleans())
def test_whatever_the_borders_the_bytes_and_the_etag_are_those_of_one_piece(
    descriptions: list[str | None],
    batch: int,
    in_memory: int,
    very_large: int,
    keep: bool,
) -> None:
    rows = [row(number, description) for number, description in enumerate(descriptions)]
    one_piece = responses.tasks(rows)
    lock = asyncio.Lock()
    with pytest.MonkeyPatch.context() as patch:
        # The borders come down to where these lists cross them.
        patch.setattr(list_encoder, "IN_MEMORY", in_memory)
        patch.setattr(list_encoder, "VERY_LARGE", very_large)
        body = asyncio.run(encode(rows, batch, keep=keep, lock=lock))
    assert body.etag == one_piece.etag
    assert not lock.locked()
    if isinstance(body, LargeBody) and not keep:
        assert body.file is None
        assert body.size == len(one_piece.content)
    else:
        assert content_of(body) == one_piece.content


async def test_the_rows_that_are_sent_again_begin_anew() -> None:
    rows = a_list(2 * BATCH, WIDE)
    encoder = ListEncoder(asyncio.Lock(), keep=True)
    await encoder.take(rows[:BATCH])
    assert encoder.size > list_encoder.IN_MEMORY
    encoder.restart()
    assert encoder.size == 0
    again = rows[BATCH:]
    one_piece = responses.tasks(again)
    await encoder.take(again)
    body = await encoder.end()
    await encoder.close()
    assert (content_of(body), body.etag) == one_piece


# --- other tasks run meanwhile -------------------------------------------------------------------


async def turns_during(work: Callable[[], object]) -> int:
    """How often another task has its turn while this work is done."""
    turns = 0

    async def another() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(another())
    await asyncio.sleep(0)
    before = turns
    result = work()
    if asyncio.iscoroutine(result):
        await result
    task.cancel()
    return turns - before


@pytest.mark.parametrize("keep", [True, False], ids=["kept", "hashed"])
async def test_other_tasks_run_between_the_slices(keep: bool) -> None:
    async def encoded() -> None:
        body = await encode(a_list(BATCH, WIDE), keep=keep)
        assert isinstance(body, LargeBody)
        if body.file is not None:
            body.file.close()

    assert await turns_during(encoded) >= BATCH // SLICE / 2


async def test_a_list_in_one_piece_lets_no_task_run() -> None:
    """The control."""
    rows = a_list(BATCH, WIDE)
    assert await turns_during(lambda: responses.tasks(rows)) == 0


async def test_of_very_large_lists_one_is_encoded_at_a_time() -> None:
    lock = asyncio.Lock()
    batches = VERY_LARGE // (BATCH * 60_000) + 2
    one, two = (ListEncoder(lock, keep=False) for _ in range(2))
    for _ in range(batches):
        await one.take(a_list(BATCH, WIDE))
    assert one.size > VERY_LARGE
    assert lock.locked()
    # A list below the border goes on beside it.
    assert await encode(a_list(BATCH // 4, WIDE), keep=False, lock=lock)

    async def take_all() -> None:
        for _ in range(batches):
            await two.take(a_list(BATCH, WIDE))

    # Who waits for its turn holds no database connection, so it does not wait while it takes.
    with pytest.raises(AnotherVeryLargeList):
        await take_all()
    assert VERY_LARGE < two.size < one.size
    two.restart()
    waiting = asyncio.create_task(two.wait_for_turn())
    done, _ = await asyncio.wait([waiting], timeout=0.5)
    assert not done
    await one.close()
    await waiting
    await take_all()
    two.restart()  # the connection was lost, and the rows are sent again: it keeps its turn
    assert lock.locked()
    await take_all()
    assert two.size == one.size
    assert (await two.end()).etag == (await one.end()).etag
    await two.close()
    assert not lock.locked()


async def test_a_list_that_is_given_up_while_it_waits_does_not_take_the_turn() -> None:
    lock = asyncio.Lock()
    await lock.acquire()
    encoder = ListEncoder(lock, keep=False)
    waiting = asyncio.create_task(encoder.wait_for_turn())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await encoder.close()
    assert lock.locked()
    lock.release()
    await asyncio.wait_for(lock.acquire(), 10)


def test_the_etag_of_a_list_is_half_of_the_sha_256_of_its_bytes() -> None:
    assert etags.of_bytes(b"[]") == '"4f53cda18c2baa0c0354bb5f9a3ecbe5"'
