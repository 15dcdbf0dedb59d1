"""The document as a whole: FastAPI's, and what only the contract knows put into it."""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI

from . import health, parts, responses, schemas

VERSION = version("taskapi")
DESCRIPTION = (
    "The user is the subject of the bearer token and nothing else. Every error is a problem "
    "document (RFC 9457) with a stable `code`. Every path also answers with a trailing slash, and "
    "to `HEAD` where it answers to `GET`. Where nothing is, the answer is 404 (`route_not_found`); "
    "to a method that a path does not take, it is 405 (`method_not_allowed`) with `Allow`."
)
_TAGS = [
    {"name": "tasks", "description": "The tasks of the user of the token."},
    {"name": "health", "description": "For whoever supervises the process."},
]

_Json = dict[str, Any]


def install(app: FastAPI) -> None:
    """Make the application answer with this document; it is written once."""
    written: list[_Json] = []

    def openapi() -> _Json:
        if not written:
            written.append(_document(app))
        return written[0]

    app.openapi = openapi  # type: ignore[method-assign]


def _document(app: FastAPI) -> _Json:
    # A client calls it a task; TaskRead is what the library calls it.
    text = json.dumps(FastAPI.openapi(app)).replace('/TaskRead"', '/Task"')
    document: _Json = json.loads(text)
    components = document["components"]
    paths = document["paths"]
    for operations in paths.values():
        for operation in operations.values():
            name = operation["operationId"]
            operation["responses"] = responses.of(name, operation["responses"])
            if name == "complete_task":
                body = operation["requestBody"]["content"]["application/json"]
                components["schemas"]["TaskCompletion"] = body["schema"]
                body["schema"] = parts.reference("schemas", "TaskCompletion")
        operations["parameters"] = [parts.reference("parameters", "X-Request-ID")]
    schemas.make_exact(components["schemas"])
    components |= {
        "parameters": parts.PARAMETERS,
        "headers": parts.HEADERS,
        "links": parts.LINKS,
        "examples": responses.EXAMPLES,
    }
    document["paths"] = dict(sorted((paths | health.PATHS).items()))
    document["tags"] = _TAGS
    return document
