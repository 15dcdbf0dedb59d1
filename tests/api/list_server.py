"""A server whose lists are as the environment says: the controls of the tests of large lists.

Run as a program it serves as `taskcli serve` does. With `UNSLICED` a list is read, encoded and
answered in one piece. `FILE_BYTES` is the size that a file of this process may have.
"""

from __future__ import annotations

import os
import resource
import socket
import sys
from pathlib import Path

from starlette.responses import Response

import taskcore
from taskapi import lists, logs, responses, server
from taskapi.settings import Settings
from taskapi.task_request import TaskRequest

PROGRAM = [__file__]


def environment(*, unsliced: bool = False, file_bytes: int = 0) -> dict[str, str]:
    """What tells this program what to change."""
    return {
        "UNSLICED": "1" if unsliced else "",
        "FILE_BYTES": str(file_bytes or ""),
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if Path(path).is_dir()),
    }


async def answer_in_one_piece(request: TaskRequest, if_none_match: str | None) -> Response:
    op = taskcore.list_tasks(request.user).with_result(responses.tasks)
    return responses.ok(await request.database.run(op), if_none_match)


def main() -> None:
    if os.environ["FILE_BYTES"]:
        number = int(os.environ["FILE_BYTES"])
        resource.setrlimit(resource.RLIMIT_FSIZE, (number, number))
    if os.environ["UNSLICED"]:
        lists.answer = answer_in_one_piece
    settings = Settings.from_environment()
    logs.configure(settings.log_format)
    listener = socket.socket(fileno=int(sys.argv[sys.argv.index("--fd") + 1]))
    server.serve(settings, [listener])


if __name__ == "__main__":
    main()
