"""The id that names a request in its answer and in the log."""

from __future__ import annotations

import re
import secrets

from starlette.types import Scope

REQUEST_ID = "taskapi.request_id"
"""The key of the id in a request's scope."""
_VALID = re.compile(rb"[A-Za-z0-9._-]{1,64}")


def new_request_id() -> str:
    return secrets.token_hex(8)


def request_id_of(scope: Scope) -> str:
    """The id that the client has chosen, or else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _VALID.fullmatch(value):
            return str(value.decode())
    return new_request_id()
