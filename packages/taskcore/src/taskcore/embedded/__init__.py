"""A real PostgreSQL for the first run and for tests, out of a wheel (`taskcore[embedded]`).

Only the wheel's binaries are used, never its own runner: run as root, that opens up every parent
directory of the data. `place` says where a cluster lives, as whom and with which binaries it runs,
`cluster` creates, launches and halts it, `server` shares it, `lock` keeps processes out of each
other's way.
"""

from taskcore.embedded.place import EmbeddedUnavailable
from taskcore.embedded.server import Server, erase, start

__all__ = ["EmbeddedUnavailable", "Server", "erase", "start"]
