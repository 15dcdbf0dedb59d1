"""The answer with all tasks of a user, however many there are.

A list of one batch of rows is encoded at once, a longer one in slices while its rows arrive. What
is over a megabyte is sent from a temporary file: the client reads it at its own pace, without a
database connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import IO

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

import taskcore
from taskcore import DeadlineExceeded
from taskcore.tasks.fields import TaskRow

from . import etags, responses
from .list_encoder import IN_MEMORY, AnotherVeryLargeList, LargeBody, ListEncoder, in_file
from .problems import CACHING
from .responses import Body
from .task_request import TaskRequest

# Bytes that are read from the file at a time.
_PART = 256 * 1024


async def answer(request: TaskRequest, if_none_match: str | None) -> Response:
    """200 with the list, or 304 if the client has it already.

    Where the ETag may be all that is needed, a large list is hashed and not kept; if the client
    turns out to need it, it is read again.
    """
    sends = request.method == "GET"
    body = await _read(request, keep=sends and if_none_match is None)
    if sends and not etags.is_known(body.etag, if_none_match):
        if isinstance(body, LargeBody) and body.file is None:
            body = await _read(request, keep=True)
        elif isinstance(body, Body) and len(body.content) > IN_MEMORY:
            body = await in_file(body)
    if isinstance(body, Body):
        return responses.ok(body, if_none_match)
    headers = {"ETag": body.etag, **CACHING}
    if body.file is not None:
        return _FileAnswer(body.file, body.size, headers)
    if etags.is_known(body.etag, if_none_match):
        return Response(None, 304, headers)
    headers["Content-Length"] = str(body.size)
    return Response(None, 200, headers, "application/json")


async def _read(request: TaskRequest, *, keep: bool) -> Body | LargeBody:
    """Read and encode the list; a large one is kept in a file, or only hashed."""
    encoder = ListEncoder(request.services.very_large_list, keep=keep)
    try:
        try:
            return await _encode(request, encoder)
        except AnotherVeryLargeList:
            # Its connection is closed, so that the lists of one user never take those of all.
            encoder.restart()
            await _turn(encoder, request.services.settings.deadline)
            return await _encode(request, encoder)
    finally:
        if encoder.size or encoder.has_turn:
            await encoder.close()


async def _encode(request: TaskRequest, encoder: ListEncoder) -> Body | LargeBody:
    op = taskcore.list_tasks(request.user).with_result(_rows, encoder)
    last = await request.database.run(op)
    if encoder.size == 0:  # the last batch is the only one
        return responses.tasks(last)
    await encoder.take(last)
    return await encoder.end()


async def _turn(encoder: ListEncoder, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await encoder.wait_for_turn()
    except TimeoutError as error:
        raise DeadlineExceeded from error


def _rows(rows: list[TaskRow]) -> list[TaskRow]:
    return rows


class _FileAnswer(StreamingResponse):
    """200 with the bytes of a file, which is closed afterwards."""

    def __init__(self, file: IO[bytes], size: int, headers: dict[str, str]) -> None:
        self._file = file
        headers = {**headers, "Content-Length": str(size)}
        super().__init__(self._parts(), 200, headers, "application/json")

    async def _parts(self) -> AsyncIterator[bytes]:
        # In a thread: what is no longer in the page cache is read from the disk.
        while part := await asyncio.to_thread(self._file.read, _PART):
            yield part

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await asyncio.to_thread(self._file.close)
