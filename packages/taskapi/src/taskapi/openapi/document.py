"""The whole document: FastAPI's, with security, responses, schemas and health endpoints added."""

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
    "to a method that a path does not take, it is 405 (`method_not_allowed`) with `Allow`. What is "
    "no request is refused by the server, which then closes the connection: malformed HTTP with "
    "400 (`malformed_request`), a header section or a body that does not arrive in time with 408 "
    "(`request_timeout`), a header section over 64 KiB or 100 fields with 431 "
    "(`headers_too_large`). These three carry no CORS headers."
)
_TAGS = [
    {"name": "tasks", "description": "The tasks of the user of the token."},
    {"name": "health", "description": "For the supervisor of the process."},
]

_Json = dict[str, Any]


def install(app: FastAPI) -> None:
    """Make the application serve this document; it is made at the first request for it."""
    made: list[_Json] = []

    def openapi() -> _Json:
        if not made:
            made.append(_document(app))
        return made[0]

    app.openapi = openapi  # type: ignore[method-assign]


def _document(app: FastAPI) -> _Json:
    # TaskRead is taskcore's name; clients see the schema as Task.
    text = json.dumps(FastAPI.openapi(app)).replace('/TaskRead"', '/Task"')
    document: _Json = json.loads(text)
    components = document["components"]
    paths = document["paths"]
    for operations in paths.values():
        for method, written in operations.items():
            operation = operations[method] = _with_security(written)
            name = operation["operationId"]
            operation["responses"] = responses.of(name, operation["responses"])
            if name == "complete_task":
                body = operation["requestBody"]["content"]["application/json"]
                components["schemas"]["TaskCompletion"] = body["schema"]
                body["schema"] = parts.reference("schemas", "TaskCompletion")
        operations["parameters"] = [parts.reference("parameters", "X-Request-ID")]
    schemas.make_exact(components["schemas"])
    components["securitySchemes"] = parts.SECURITY_SCHEMES
    components |= {
        "parameters": parts.PARAMETERS,
        "headers": parts.HEADERS,
        "links": parts.LINKS,
        "examples": responses.EXAMPLES,
    }
    document["paths"] = dict(sorted((paths | health.PATHS).items()))
    document["tags"] = _TAGS
    return document


def _with_security(operation: _Json) -> _Json:
    """The operation with the bearer token as its security, where FastAPI too would write it."""
    first = ("tags", "summary", "description", "operationId")
    rest = {name: value for name, value in operation.items() if name not in first}
    return {**{name: operation[name] for name in first}, "security": parts.SECURITY, **rest}
