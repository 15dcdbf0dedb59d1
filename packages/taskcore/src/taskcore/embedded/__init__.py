"""A real PostgreSQL for the first run and for tests, from a wheel (`taskcore[embedded]`).

Only the wheel's binaries are used, never its own runner, which as root makes every parent directory
of the data readable to all. `place` says where a cluster's files are, which user runs it and with
which binaries; `cluster` creates, starts and stops it; `server` shares it between processes; `lock`
has the file locks for that.
"""

from taskcore.embedded.server import Server, erase, start
from taskcore.errors import EmbeddedUnavailable

__all__ = ["EmbeddedUnavailable", "Server", "erase", "start"]
