"""The schemas: FastAPI's, made as exact as the validation, and those of problems and health."""

from __future__ import annotations

import json
from typing import Any

from .parts import REQUEST_ID
from .responses import KINDS

_Json = dict[str, Any]

# A title has a character that is not white space; no stored text has a NUL.
_TITLE = r"^[^\u0000]*[^\s\u0000][^\u0000]*$"
_DESCRIPTION = r"^[^\u0000]*$"


def make_exact(schemas: _Json) -> None:
    """Add to the schemas of FastAPI what it cannot read from the models, and the other schemas."""
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas["Task"] = _task(schemas.pop("TaskRead"))
    for name in ("TaskCreate", "TaskUpdate"):
        fields = schemas[name]["properties"]
        fields["title"] |= {"pattern": _TITLE, "description": "Trimmed, and not blank then."}
        for variant in fields["description"]["anyOf"]:
            if variant["type"] == "string":
                variant["pattern"] = _DESCRIPTION
    # Client generators make of a property with a default one that is always present, which is wrong
    # in a request.
    for field in schemas["TaskCreate"]["properties"].values():
        if "default" in field:
            field["description"] = f"{json.dumps(field.pop('default'))} if absent."
    # At least one property. minProperties would count unknown ones, and with anyOf generators make
    # a type that accepts anything.
    schemas["TaskUpdate"]["not"] = _without(*schemas["TaskUpdate"]["properties"])
    schemas["TaskCompletion"] |= {
        "title": "TaskCompletion",
        "description": "An empty object toggles, as no body does.",
        "not": {"minProperties": 1, **_without("completed")},
    }
    schemas |= {"Live": _LIVE, "Problem": _PROBLEM, "Ready": _READY}


def _task(schema: _Json) -> _Json:
    """The schema of a task, with one example assembled from the examples of its properties."""
    example = {
        name: field.pop("examples", [None])[0] for name, field in schema["properties"].items()
    }
    return {**schema, "title": "Task", "examples": [example]}


def _without(*fields: str) -> _Json:
    # {"not": {}} is what `false` means, which some generators cannot read.
    return {"properties": {name: {"not": {}} for name in fields}}


_CHECKS = {
    "title": "Checks",
    "type": "object",
    "required": ["database", "schema"],
    "properties": {
        "database": {"type": "string", "enum": ["ok", "unavailable"]},
        "schema": {"type": "string", "enum": ["ok", "missing", "behind", "unknown"]},
        "keys": {"type": "string", "enum": ["ok", "unavailable"]},
        "process": {"type": "string", "enum": ["stopping"]},
        "nodes": {
            "type": "string",
            "description": "On a cluster only: `ok`, `unknown`, or how many of its nodes answer.",
            "examples": ["ok", "1 of 2"],
        },
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
            "examples": [REQUEST_ID],
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
