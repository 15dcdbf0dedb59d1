"""The responses of each operation: every status, with its headers and problem codes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from taskapi import problems
from taskapi.problems import Kind

from .parts import REQUEST_ID, headers, links, reference

_Json = dict[str, Any]

KINDS = [
    kind
    for kind in vars(problems).values()
    # What is no JWT has the code of a malformed token, and only another sentence.
    if isinstance(kind, Kind) and kind is not problems.TOKEN_NOT_JWT
]

_ALWAYS = (
    problems.TOKEN_MISSING,
    problems.TOKEN_MALFORMED,
    problems.TOKEN_INVALID,
    problems.TOKEN_EXPIRED,
    problems.TOKEN_NOT_YET_VALID,
    problems.USER_UNKNOWN,
    problems.DATABASE_UNAVAILABLE,
    problems.KEYS_UNAVAILABLE,
    problems.INTERNAL_ERROR,
)
_BODY = (
    problems.INVALID_JSON,
    problems.UNSUPPORTED_MEDIA_TYPE,
    problems.BODY_TOO_LARGE,
    problems.VALIDATION_FAILED,
)
_ONE = (problems.NOT_TASK_OWNER, problems.TASK_NOT_FOUND, problems.VALIDATION_FAILED)
_CHANGE = (*_ONE, problems.STALE_VERSION, problems.OUTCOME_UNKNOWN)

_PROBLEMS: dict[str, tuple[Kind, ...]] = {
    "list_tasks": _ALWAYS,
    "create_task": (*_ALWAYS, *_BODY, problems.OUTCOME_UNKNOWN),
    "get_task": (*_ALWAYS, *_ONE),
    "update_task": (*_ALWAYS, *_CHANGE, *_BODY),
    "delete_task": (*_ALWAYS, *_CHANGE),
    "complete_task": (*_ALWAYS, *_CHANGE, *_BODY),
}
_SUCCESS = {
    "list_tasks": "All tasks of the user, newest first.",
    "create_task": "The task that was made, now or when the key came first.",
    "get_task": "The task.",
    "update_task": "The task as it is now.",
    "delete_task": "The task is gone.",
    "complete_task": "The task as it is now.",
}
_LINKS = {
    "list_tasks": (),
    "create_task": ("get_made", "update_made", "complete_made", "delete_made"),
    "get_task": ("update_same", "complete_same", "delete_same"),
    "update_task": ("get_again", "complete_same", "delete_same"),
    "delete_task": ("get_again",),
    "complete_task": ("get_again", "update_same", "delete_same"),
}
_ALWAYS_SENT = ("X-Request-ID", "Cache-Control", "Vary")
_SENT_WITH = {
    200: ("ETag",),
    201: ("ETag", "Location", "Idempotency-Replayed"),
    304: ("ETag",),
    401: ("WWW-Authenticate",),
    503: ("Retry-After",),
}


def of(operation: str, written: _Json) -> _Json:
    """All responses of an operation; `written` is FastAPI's, the successful one."""
    status, success = next(iter(written.items()))
    success["description"] = _SUCCESS[operation]
    success["headers"] = _headers(int(status))
    if _LINKS[operation]:
        success["links"] = links(*_LINKS[operation])
    responses = {status: success, **refusals(_PROBLEMS[operation])}
    if operation in ("list_tasks", "get_task"):
        description = "What `If-None-Match` names is what there is."
        responses["304"] = {"description": description, "headers": _headers(304)}
    return dict(sorted(responses.items()))


def refusals(kinds: Iterable[Kind]) -> _Json:
    """The responses of these problems: one for each status, with an example of each code."""
    by_status: dict[int, dict[str, Kind]] = {}
    for kind in kinds:
        by_status.setdefault(kind.status, {})[kind.code] = kind
    return {
        str(status): {
            "description": " ".join(f"`{kind.code}`: {kind.detail}" for kind in found.values()),
            "headers": _headers(status),
            "content": {
                problems.MEDIA_TYPE: {
                    "schema": reference("schemas", "Problem"),
                    "examples": {code: reference("examples", code) for code in found},
                }
            },
        }
        for status, found in by_status.items()
    }


def _headers(status: int) -> _Json:
    return headers(*_ALWAYS_SENT, *_SENT_WITH.get(status, ()))


def _example(kind: Kind) -> _Json:
    checks = (
        {"database": "unavailable", "schema": "unknown"} if kind is problems.NOT_READY else None
    )
    example = problems.document(problems.Problem(kind, checks=checks), REQUEST_ID)
    if kind is problems.VALIDATION_FAILED:
        example["errors"] = [
            {"field": "title", "message": "String should have at least 1 character"}
        ]
    return {"value": example}


EXAMPLES: _Json = {kind.code: _example(kind) for kind in KINDS}
