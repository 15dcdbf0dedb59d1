"""The schemas, as exact as the code that takes what they describe."""

from __future__ import annotations

from typing import Any

from .parts import A_REQUEST_ID, AN_ID
from .responses import KINDS

_Json = dict[str, Any]

# What has a title is not blank; nothing that is stored has a NUL.
_TITLE = r"^[^\u0000]*[^\s\u0000][^\u0000]*$"
_DESCRIPTION = r"^[^\u0000]*$"

_A_TASK = {
    "id": AN_ID,
    "user_id": "user_1",
    "title": "Buy milk",
    "description": "Two litres, oat",
    "completed": False,
    "created_at": "2026-05-04T10:30:00.123456Z",
    "updated_at": "2026-05-04T10:30:00.123456Z",
}


def make_exact(schemas: _Json) -> None:
    """Say what FastAPI can't see in the models, and add what it knows nothing of."""
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas["Task"] = {**schemas.pop("TaskRead"), "title": "Task", "examples": [_A_TASK]}
    for name in ("TaskCreate", "TaskUpdate"):
        fields = schemas[name]["properties"]
        fields["title"] |= {"pattern": _TITLE, "description": "Trimmed, and not blank then."}
        fields["description"]["anyOf"][0]["pattern"] = _DESCRIPTION
    # Of a default, generators make a field that is always there: right in an answer, not here.
    completed = schemas["TaskCreate"]["properties"]["completed"]
    completed["description"] = f"{str(completed.pop('default')).lower()} if absent."
    # With anyOf it would read better, but of that generators make a type that takes anything.
    schemas["TaskUpdate"]["not"] = _without(*schemas["TaskUpdate"]["properties"])
    schemas["TaskCompletion"] |= {
        "title": "TaskCompletion",
        "description": "An empty object toggles, as no body does.",
        "not": {"minProperties": 1, **_without("completed")},
    }
    schemas |= {"Live": _LIVE, "Problem": _PROBLEM, "Ready": _READY}


def _without(*fields: str) -> _Json:
    return {"properties": dict.fromkeys(fields, False)}


_CHECKS = {
    "title": "Checks",
    "type": "object",
    "required": ["database", "schema"],
    "properties": {
        "database": {"type": "string", "enum": ["ok", "unavailable"]},
        "schema": {"type": "string", "enum": ["ok", "missing", "behind", "unknown"]},
        "keys": {"type": "string", "enum": ["ok", "unavailable"]},
        "process": {"type": "string", "enum": ["stopping"]},
    },
}
_LIVE: _Json = {
    "title": "Live",
    "type": "object",
    "required": ["status"],
    "properties": {"status": {"type": "string", "const": "ok"}},
}
_READY: _Json = {
    "title": "Ready",
    "type": "object",
    "required": ["status", "checks"],
    "properties": {"status": {"type": "string", "const": "ok"}, "checks": _CHECKS},
}
_PROBLEM: _Json = {
    "title": "Problem",
    "type": "object",
    "description": "What went wrong (RFC 9457).",
    "required": ["type", "title", "status", "detail", "code", "request_id"],
    "properties": {
        "type": {"type": "string", "const": "about:blank"},
        "title": {"type": "string", "description": "The status in words."},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string", "description": "One sentence for people."},
        "code": {
            "type": "string",
            "description": "Stable: what a program decides by.",
            "enum": [kind.code for kind in KINDS],
        },
        "request_id": {
            "type": "string",
            "description": "The same as in X-Request-ID.",
            "examples": [A_REQUEST_ID],
        },
        "errors": {
            "type": "array",
            "description": "With `validation_failed`: one entry for each field.",
            "minItems": 1,
            "items": {
                "title": "Fault",
                "type": "object",
                "required": ["field", "message"],
                "properties": {
                    "field": {"type": "string", "examples": ["title", "path.id"]},
                    "message": {"type": "string"},
                },
            },
        },
        "checks": {**_CHECKS, "description": "With `not_ready`: what there is, and what not."},
    },
}
