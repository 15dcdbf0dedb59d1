"""Error answers: one format (RFC 9457), one table of kinds, one exception to raise.

The table gives for each error class of taskcore the status, code and sentence that a client gets.
Only the class of an exception decides the answer; its message is never sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import orjson
from starlette.responses import Response

from taskcore import errors as core

MEDIA_TYPE = "application/problem+json"
# Sent with every answer, errors too: it depends on the user, and must be asked for again.
CACHING = {"Vary": "Authorization", "Cache-Control": "private, no-cache"}


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of error: its status, stable code and sentence."""

    status: int
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Fault:
    """The error of one field, under the name that the client knows (`title`, `path.id`)."""

    field: str
    message: str


TOKEN_MISSING = Kind(401, "token_missing", "A bearer token is needed.")
TOKEN_MALFORMED = Kind(401, "token_malformed", "The token is malformed.")
TOKEN_NOT_JWT = Kind(401, "token_malformed", "The bearer token must be a JWT.")
TOKEN_INVALID = Kind(401, "token_invalid", "The token is not valid here.")
TOKEN_EXPIRED = Kind(401, "token_expired", "The token has expired.")
TOKEN_NOT_YET_VALID = Kind(401, "token_not_yet_valid", "The token is not valid yet.")
USER_UNKNOWN = Kind(401, "user_unknown", "The user of the token does not exist.")
NOT_TASK_OWNER = Kind(403, "not_task_owner", "The task belongs to another user.")
TASK_NOT_FOUND = Kind(404, "task_not_found", "There is no such task.")
ROUTE_NOT_FOUND = Kind(404, "route_not_found", "There is nothing at this path.")
METHOD_NOT_ALLOWED = Kind(405, "method_not_allowed", "This path does not take this method.")
STALE_VERSION = Kind(412, "stale_version", "The task has changed since it was read.")
INVALID_JSON = Kind(400, "invalid_json", "The body is not valid JSON in UTF-8.")
UNSUPPORTED_MEDIA_TYPE = Kind(
    415, "unsupported_media_type", "The body must have the content type application/json."
)
BODY_TOO_LARGE = Kind(413, "body_too_large", "The body is too large.")
VALIDATION_FAILED = Kind(422, "validation_failed", "Some of what was sent is not valid.")
DATABASE_UNAVAILABLE = Kind(
    503, "database_unavailable", "The database cannot be reached right now; nothing was changed."
)
OUTCOME_UNKNOWN = Kind(
    503,
    "outcome_unknown",
    "The connection to the database broke: whether the change was made is unknown.",
)
NOT_READY = Kind(503, "not_ready", "This process cannot serve right now.")
KEYS_UNAVAILABLE = Kind(
    503, "keys_unavailable", "The keys that tokens are verified with cannot be fetched right now."
)
# Of what is no request: answered by the server, before the application.
MALFORMED_REQUEST = Kind(400, "malformed_request", "This is not a valid HTTP request.")
REQUEST_TIMEOUT = Kind(408, "request_timeout", "The request did not arrive in time.")
HEADERS_TOO_LARGE = Kind(431, "headers_too_large", "The header section is too large.")
INTERNAL_ERROR = Kind(500, "internal_error", "Something went wrong on our side.")

# The entry of the most derived class applies.
_OF_ERROR: dict[type[core.TaskcoreError], Kind] = {
    core.UnknownUser: USER_UNKNOWN,
    core.NotTaskOwner: NOT_TASK_OWNER,
    core.TaskNotFound: TASK_NOT_FOUND,
    core.StaleTask: STALE_VERSION,
    core.DatabaseUnavailable: DATABASE_UNAVAILABLE,
    core.DatabaseNotReady: DATABASE_UNAVAILABLE,
    core.DatabaseClosed: DATABASE_UNAVAILABLE,
    core.TaskcoreError: INTERNAL_ERROR,
}
RETRY_AFTER = "1"


class Problem(Exception):
    """Raised to answer with an error."""

    def __init__(
        self,
        kind: Kind,
        *,
        reason: str | None = None,
        faults: Sequence[Fault] = (),
        checks: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(kind.code)
        self.kind = kind
        # Shown by `taskcli token --inspect`; never sent to a client.
        self.reason = reason
        self.faults = faults
        self.checks = checks
        self.headers = {**CACHING, **_headers(kind), **(headers or {})}


def of_error(error: core.TaskcoreError) -> Problem:
    """The problem that an error of taskcore is answered with."""
    kind = next(_OF_ERROR[cls] for cls in type(error).__mro__ if cls in _OF_ERROR)
    if isinstance(error, core.DatabaseUnavailable) and error.outcome_unknown:
        kind = OUTCOME_UNKNOWN
    return Problem(kind)


# As RFC 9110 has them, and Python only since 3.13: an answer does not depend on the Python.
_TITLES = {413: "Content Too Large", 422: "Unprocessable Content"}


def document(problem: Problem, request_id: str) -> dict[str, Any]:
    kind = problem.kind
    content: dict[str, Any] = {
        "type": "about:blank",
        "title": _TITLES.get(kind.status) or HTTPStatus(kind.status).phrase,
        "status": kind.status,
        "detail": kind.detail,
        "code": kind.code,
        "request_id": request_id,
    }
    if kind is VALIDATION_FAILED:
        content["errors"] = list(problem.faults)
    if problem.checks is not None:
        content["checks"] = problem.checks
    return content


def answer(problem: Problem, request_id: str) -> Response:
    content = orjson.dumps(document(problem, request_id))
    return Response(content, problem.kind.status, problem.headers, MEDIA_TYPE)


def _headers(kind: Kind) -> dict[str, str]:
    if kind is TOKEN_MISSING:
        return {"WWW-Authenticate": "Bearer"}
    if kind.status == 401:
        description = kind.detail.rstrip(".")
        challenge = f'Bearer error="invalid_token", error_description="{description}"'
        return {"WWW-Authenticate": challenge}
    if kind.status == 503:
        return {"Retry-After": RETRY_AFTER}
    return {}
