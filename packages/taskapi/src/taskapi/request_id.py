"""The id that names a request in its answer and in the log."""

from __future__ import annotations

import os
import re
import secrets
from itertools import count

from starlette.types import Scope

REQUEST_ID = "taskapi.request_id"
"""The key of the id in a request's scope."""
_VALID = re.compile(rb"[A-Za-z0-9._-]{1,64}")


# A random number for the process and the number of the request in it: unique, and it costs less
# than random bytes for each request.
_process = secrets.token_hex(6)
_numbers = count(1)


def new_request_id() -> str:
    return f"{_process}{next(_numbers):08x}"


def _draw_again() -> None:
    global _process
    _process = secrets.token_hex(6)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_draw_again)


def request_id_of(scope: Scope) -> str:
    """The id that the client has chosen, or else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _VALID.fullmatch(value):
            return str(value.decode())
    return new_request_id()
