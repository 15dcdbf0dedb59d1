"""A server with other limits on connections, or without any: for the tests of those limits.

Run as a program it serves as `taskcli serve` does. `LIMITS` names attributes of `HttpProtocol`;
with `STOCK` the connections are uvicorn's own class, which is the control.
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

from taskapi import logs, server
from taskapi.http_protocol import HttpProtocol
from taskapi.settings import Settings

PROGRAM = [__file__]

ServeLimited: TypeAlias = Callable[..., AbstractContextManager[Any]]


def environment(
    *, stock: bool = False, descriptors: int = 0, limits: dict[str, float] | None = None
) -> dict[str, str]:
    """What tells this program what to change."""
    return {
        "STOCK": "1" if stock else "",
        "DESCRIPTORS": str(descriptors or ""),
        "LIMITS": json.dumps(limits or {}),
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if Path(path).is_dir()),
    }


def main() -> None:
    if os.environ["DESCRIPTORS"]:
        number = int(os.environ["DESCRIPTORS"])
        resource.setrlimit(resource.RLIMIT_NOFILE, (number, number))
    for name, value in json.loads(os.environ["LIMITS"]).items():
        assert hasattr(HttpProtocol, name)
        setattr(HttpProtocol, name, value)
    if os.environ["STOCK"]:
        server.HttpProtocol = HttpToolsProtocol  # type: ignore[misc, assignment]
    settings = Settings.from_environment()
    logs.configure(settings.log_format)
    listener = socket.socket(fileno=int(sys.argv[sys.argv.index("--fd") + 1]))
    server.serve(settings, [listener])


if __name__ == "__main__":
    main()
