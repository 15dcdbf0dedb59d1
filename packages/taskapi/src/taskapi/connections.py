"""All connections of a process: how many there may be, and the sweep that closes late ones."""

from __future__ import annotations

import logging
import resource
import sys
from collections import OrderedDict
from time import monotonic
from typing import Protocol

from uvicorn.server import ServerState

_log = logging.getLogger(__name__)

# A connection to the database has its socket and a duplicate of that.
_DESCRIPTORS_PER_DATABASE_CONNECTION = 2
# Descriptors for what is neither a client nor in the users' pool: the listening sockets, the
# connection of readiness, fetches of the key set, files, and clients that are just being closed.
_RESERVE = 64
_LEAST = 16
_SECONDS_BETWEEN_WARNINGS = 60.0
# A sweep that comes later than this was held up by this process, and not by its clients.
LONGEST_TICK = 1.0


class Connection(Protocol):
    """What a client's connection is asked for."""

    def close(self) -> None:
        """Close it without an answer."""

    def tick(self, seconds: float) -> None:
        """Note that so much time has passed; end the connection if its client is late."""


class Connections(ServerState):
    """The connections of one server. uvicorn hands it to each connection."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit
        self.open: set[Connection] = set()
        # Those without a request in flight; the one that has been silent for longest is the first.
        self.silent: OrderedDict[Connection, None] = OrderedDict()
        self._swept_at = monotonic()
        self._closed = 0
        self._warned_at: float | None = None

    def add(self, connection: Connection) -> None:
        """Add a new connection; over the limit, close the one that has been silent for longest."""
        self.open.add(connection)
        self.silent[connection] = None
        if len(self.open) > self.limit:
            longest_silent, _ = self.silent.popitem(last=False)
            longest_silent.close()
            self._closed += 1
            self._warn()

    def remove(self, connection: Connection) -> None:
        self.open.discard(connection)
        self.silent.pop(connection, None)

    def sweep(self) -> None:
        """Let the clocks of all connections go on; called about twice a second."""
        now = monotonic()
        seconds = min(now - self._swept_at, LONGEST_TICK)
        self._swept_at = now
        for connection in tuple(self.open):
            connection.tick(seconds)
        if self._closed:
            self._warn()

    def _warn(self) -> None:
        now = monotonic()
        if self._warned_at is not None and now - self._warned_at < _SECONDS_BETWEEN_WARNINGS:
            return
        _log.warning(
            "%d connections are open, the most that the limit of descriptors allows: "
            "%d closed that were silent for longest",
            self.limit,
            self._closed,
        )
        self._warned_at, self._closed = now, 0


def connection_limit(pool_size: int) -> int:
    """How many clients may be connected, so that descriptors are left for everything else."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if descriptors == resource.RLIM_INFINITY:
        return sys.maxsize
    pool = _DESCRIPTORS_PER_DATABASE_CONNECTION * pool_size
    return max(_LEAST, descriptors - pool - _RESERVE)
