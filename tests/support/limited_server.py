"""A server with other limits for clients, or without any: for the tests of those limits.

Run as a program it serves as `taskcli serve` does. `LIMITS` names attributes of `HttpProtocol`;
with `STOCK` the connections are uvicorn's own class, and with `READY_FROM_POOL` readiness asks on
the users' pool each time. Those two are controls.
"""

from __future__ import annotations

import json
import os
import resource
import socket
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeAlias

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from taskapi import app, logs, readiness, server
from taskapi.http_protocol import HttpProtocol
from taskapi.readiness import Readiness
from taskapi.services import Services
from taskapi.settings import Settings

PROGRAM = [__file__]

ServeLimited: TypeAlias = Callable[..., AbstractContextManager[Any]]


def environment(
    *,
    stock: bool = False,
    ready_from_pool: bool = False,
    descriptors: int = 0,
    limits: dict[str, float] | None = None,
) -> dict[str, str]:
    """What tells this program what to change."""
    return {
        "STOCK": "1" if stock else "",
        "READY_FROM_POOL": "1" if ready_from_pool else "",
        "DESCRIPTORS": str(descriptors or ""),
        "LIMITS": json.dumps(limits or {}),
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if Path(path).is_dir()),
    }


def _services_with_readiness_from_pool(*parts: Any) -> Services:
    services = Services(*parts)

    async def checks(_: Readiness) -> dict[str, str]:
        return await readiness.database_checks(services.database)

    vars(readiness)["Readiness"].checks = checks
    return services


def main() -> None:
    if os.environ["DESCRIPTORS"]:
        number = int(os.environ["DESCRIPTORS"])
        resource.setrlimit(resource.RLIMIT_NOFILE, (number, number))
    for name, value in json.loads(os.environ["LIMITS"]).items():
        assert hasattr(HttpProtocol, name)
        setattr(HttpProtocol, name, value)
    if os.environ["STOCK"]:
        vars(server)["HttpProtocol"] = HttpToolsProtocol
    if os.environ["READY_FROM_POOL"]:
        vars(app)["Services"] = _services_with_readiness_from_pool
    settings = Settings.from_environment()
    logs.configure(settings.log_format)
    listener = socket.socket(fileno=int(sys.argv[sys.argv.index("--fd") + 1]))
    server.serve(settings, [listener])


if __name__ == "__main__":
    main()
