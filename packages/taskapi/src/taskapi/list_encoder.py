"""The JSON of a large list, encoded in slices while its rows arrive.

Other requests are served between the slices. What is over a megabyte is written to a temporary
file, or only hashed where just the ETag is wanted.
"""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from typing import IO, NamedTuple

from taskcore.tasks.fields import TaskRow

from . import etags, responses
from .responses import Body

# Bytes of a list that are kept in memory; the file gets as much at a time.
IN_MEMORY = 1024 * 1024
# Of the lists with more bytes than this, one is read and encoded at a time.
VERY_LARGE = 4 * IN_MEMORY
# Rows that are encoded at once: a megabyte at most, because a row has up to 63 kB of JSON.
SLICE = 16


class AnotherVeryLargeList(Exception):
    """Another very large list is being read: wait for its end, without a database connection."""


class LargeBody(NamedTuple):
    """A body over a megabyte: its file (None if it was only hashed), its size and its ETag."""

    file: IO[bytes] | None
    size: int
    etag: str


async def in_file(body: Body) -> LargeBody:
    """Put a body into a file."""
    file = tempfile.TemporaryFile()  # noqa: SIM115
    try:
        await asyncio.to_thread(file.write, body.content)
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return LargeBody(file, len(body.content), body.etag)


class ListEncoder:
    """Takes the rows of one list in batches; the bytes are those of `responses.tasks`."""

    # Small lists need no more than this of an encoder: the rest is made with the first row.
    size = 0
    has_turn = False
    _file: IO[bytes] | None = None

    def __init__(self, very_large_list: asyncio.Lock, *, keep: bool) -> None:
        self._lock = very_large_list
        self._keep = keep

    def restart(self) -> None:
        """Forget what was taken: the rows are sent again."""
        if self._file is not None:
            self._file.close()
            self._file = None
        self.size = 0

    async def take(self, rows: list[TaskRow]) -> None:
        """Encode a batch of rows; each leaves the list, and so memory, once it is encoded."""
        if self.size == 0:
            self._hash = hashlib.sha256()
            self._pending: list[bytes | memoryview] = []
            self._pending_size = 0
        while rows:
            if self.size > VERY_LARGE and not self.has_turn:
                if self._lock.locked():
                    raise AnotherVeryLargeList
                await self.wait_for_turn()
            encoded = responses.array(rows[:SLICE])
            del rows[:SLICE]
            self._add(b"," if self.size else b"[")
            self._add(memoryview(encoded)[1:-1])
            if self._pending_size > IN_MEMORY:
                if self._keep and self._file is None:
                    self._file = tempfile.TemporaryFile()  # noqa: SIM115
                # Hashing and writing release the interpreter's lock, so requests go on meanwhile.
                await asyncio.to_thread(self._flush)

    async def wait_for_turn(self) -> None:
        """Wait until no other very large list is being read."""
        await self._lock.acquire()
        self.has_turn = True

    async def end(self) -> Body | LargeBody:
        """Return the body; the caller closes its file."""
        self._add(b"]")
        if self._pending_size == self.size:  # nothing was flushed
            content = b"".join(self._pending)
            return Body(content, etags.of_bytes(content))
        await asyncio.to_thread(self._flush)
        file, self._file = self._file, None
        if file is not None:
            file.seek(0)
        return LargeBody(file, self.size, etags.of_sha256(self._hash.hexdigest()))

    async def close(self) -> None:
        """Let the next very large list begin, and close the file of a list that failed."""
        self._release()
        if self._file is not None:
            await asyncio.to_thread(self._file.close)

    def _release(self) -> None:
        if self.has_turn:
            self.has_turn = False
            self._lock.release()

    def _add(self, part: bytes | memoryview) -> None:
        self._pending.append(part)
        self._pending_size += len(part)
        self.size += len(part)

    def _flush(self) -> None:
        """Hash what is pending, and write it if it is kept; runs in a thread."""
        for part in self._pending:
            self._hash.update(part)
            if self._file is not None:
                self._file.write(part)
        self._pending = []
        self._pending_size = 0
