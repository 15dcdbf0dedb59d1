"""A server that says which requests took the direct path; with FASTAPI_ALONE, none does.

Otherwise it serves as `taskcli serve` does.
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import Any

from starlette.types import Receive, Scope, Send

from taskapi import logs, server
from taskapi.direct_path import DirectPath
from taskapi.settings import Settings

PROGRAM = [__file__]
DIRECT = "took the direct path"

_answer = DirectPath._answer


def environment(*, fastapi_alone: bool) -> dict[str, str]:
    """What tells this program what to change."""
    return {
        "FASTAPI_ALONE": "1" if fastapi_alone else "",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if Path(path).is_dir()),
    }


async def _noted(self: DirectPath, scope: Scope, receive: Receive, send: Send) -> None:
    print(DIRECT, file=sys.stderr, flush=True)
    await _answer(self, scope, receive, send)


def main() -> None:
    changed: dict[str, Any] = {"_answer": _noted}
    if os.environ["FASTAPI_ALONE"]:
        changed["_route"] = lambda *_: None
    for name, function in changed.items():
        setattr(DirectPath, name, function)
    settings = Settings.from_environment()
    logs.configure(settings.log_format)
    listener = socket.socket(fileno=int(sys.argv[sys.argv.index("--fd") + 1]))
    server.serve(settings, [listener])


if __name__ == "__main__":
    main()
