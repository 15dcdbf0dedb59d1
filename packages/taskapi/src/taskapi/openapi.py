"""The OpenAPI document: what FastAPI reads off the endpoints, and the contract's answers."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from fastapi import FastAPI

from . import problems
from .problems import Kind

VERSION = version("taskapi")
DESCRIPTION = (
    "The user is the subject of the bearer token and nothing else. Every error is a problem "
    "document (RFC 9457) with a stable `code`."
)

_Json = dict[str, Any]

_UNAUTHENTICATED = (
    problems.TOKEN_MISSING,
    problems.TOKEN_MALFORMED,
    problems.TOKEN_INVALID,
    problems.TOKEN_EXPIRED,
    problems.TOKEN_NOT_YET_VALID,
    problems.USER_UNKNOWN,
)
_ALWAYS = (
    *_UNAUTHENTICATED,
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


def _text(description: str, example: str, **more: Any) -> _Json:
    return {"description": description, "schema": {"type": "string", "examples": [example], **more}}


_REQUEST_ID = {"X-Request-ID": _text("Names this request in the logs.", "4f1c2d3e4a5b6c7d")}
_CACHING = {
    "Cache-Control": _text("May be kept, but asked for again.", "private, no-cache"),
    "Vary": _text("What the answer depends on.", "Authorization, Origin"),
}
_AN_ID = "0199a3c4-8d7e-7f6a-9b5c-4d3e2f1a0b9c"
_ETAG = {"ETag": _text("The version of what is answered.", '"64a1b2c3d4e5f"')}
_LOCATION = {"Location": _text("The task's path.", f"/api/tasks/{_AN_ID}")}
_REPLAYED = {
    "Idempotency-Replayed": _text(
        "There if the key had made its task before.", "true", const="true"
    )
}
_OF_STATUS: dict[int, _Json] = {
    401: {"WWW-Authenticate": _text("The challenge.", 'Bearer error="invalid_token"')},
    503: {"Retry-After": _text("Seconds to wait.", problems.RETRY_AFTER)},
}

_PROBLEM: _Json = {
    "title": "Problem",
    "type": "object",
    "description": "What went wrong (RFC 9457).",
    "required": ["type", "title", "status", "detail", "code", "request_id"],
    "properties": {
        "type": {"type": "string", "const": "about:blank"},
        "title": {"type": "string", "description": "The status in words."},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "One sentence for people."},
        "code": {"type": "string", "description": "Stable: what a program decides by."},
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "description": "With validation_failed: one entry for each field.",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {
                    "field": {"type": "string", "examples": ["title", "path.id"]},
                    "message": {"type": "string"},
                },
            },
        },
    },
}


def install(app: FastAPI) -> None:
    """Make the application answer with this document; it is written once."""
    written: list[_Json] = []

    def openapi() -> _Json:
        if not written:
            written.append(_document(app))
        return written[0]

    app.openapi = openapi  # type: ignore[method-assign]


def _document(app: FastAPI) -> _Json:
    document = FastAPI.openapi(app)
    schemas = document["components"]["schemas"]
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas["Problem"] = _PROBLEM
    for operations in document["paths"].values():
        for operation in operations.values():
            _describe(operation)
    return document


def _describe(operation: _Json) -> None:
    name = operation["operationId"]
    responses = operation["responses"]
    responses.pop("422", None)
    for status, response in list(responses.items()):
        response["description"] = {"200": "Done.", "201": "Made.", "204": "Deleted."}[status]
        response["headers"] = {**_REQUEST_ID, **_CACHING}
        if status != "204":
            response["headers"] |= _ETAG
        if status == "201":
            response["headers"] |= _LOCATION | _REPLAYED
    if name in ("list_tasks", "get_task"):
        responses["304"] = {
            "description": "The client has it already.",
            "headers": {**_REQUEST_ID, **_CACHING, **_ETAG},
        }
    kinds = _PROBLEMS[name]
    for status_code in sorted({kind.status for kind in kinds}):
        mine = [kind for kind in dict.fromkeys(kinds) if kind.status == status_code]
        responses[str(status_code)] = _problem_response(status_code, mine)
    operation["responses"] = dict(sorted(responses.items()))


def _problem_response(status: int, kinds: list[Kind]) -> _Json:
    return {
        "description": " ".join(f"`{kind.code}`: {kind.detail}" for kind in kinds),
        "headers": {**_REQUEST_ID, **_CACHING, **_OF_STATUS.get(status, {})},
        "content": {
            problems.MEDIA_TYPE: {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "examples": {kind.code: {"value": _example(kind)} for kind in kinds},
            }
        },
    }


def _example(kind: Kind) -> _Json:
    example = problems.document(problems.Problem(kind), "4f1c2d3e4a5b6c7d")
    if kind is problems.VALIDATION_FAILED:
        example["errors"] = [{"field": "title", "message": "must not be empty"}]
    return example
