"""The headers, parameters, links and security that many operations share."""

from __future__ import annotations

from typing import Any

from taskapi.problems import CACHING, RETRY_AFTER

_Json = dict[str, Any]

TASK_ID = "0199a3c4-8d7e-7f6a-9b5c-4d3e2f1a0b9c"
REQUEST_ID = "4f1c2d3e4a5b6c7d"
VERSION_TAG = '"63f8d2a1b4c5e"'


def reference(kind: str, name: str) -> _Json:
    return {"$ref": f"#/components/{kind}/{name}"}


def headers(*names: str) -> _Json:
    return {name: reference("headers", name) for name in names}


def links(*names: str) -> _Json:
    return {name: reference("links", name) for name in names}


def _header(description: str, example: str, *, required: bool = True, **schema: Any) -> _Json:
    return {
        "description": description,
        "required": required,
        "schema": {"type": "string", **schema, "examples": [example]},
    }


HEADERS: _Json = {
    "X-Request-ID": _header(
        "Names this request in the logs.", REQUEST_ID, pattern="^[A-Za-z0-9._-]{1,64}$"
    ),
    "Cache-Control": _header(
        "It may be kept, but must be asked for again.", CACHING["Cache-Control"]
    ),
    "Vary": _header("What the answer depends on.", "Authorization, Origin"),
    "ETag": _header("The version of what is answered.", VERSION_TAG, pattern='^"[0-9a-f]+"$'),
    "Location": _header(
        "The path of the task.", f"/api/tasks/{TASK_ID}", pattern="^/api/tasks/[0-9a-f-]{36}$"
    ),
    "Idempotency-Replayed": _header(
        "There if the key had made its task before.", "true", required=False, const="true"
    ),
    "WWW-Authenticate": _header(
        "Says what is wrong with the token, if there was one.",
        'Bearer error="invalid_token", error_description="The token has expired"',
        pattern="^Bearer",
    ),
    "Retry-After": _header("Seconds to wait.", RETRY_AFTER, pattern="^[0-9]+$"),
}

SECURITY_SCHEMES: _Json = {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}
SECURITY: list[_Json] = [{"bearer": []}]

PARAMETERS: _Json = {
    "X-Request-ID": {
        "name": "X-Request-ID",
        "in": "header",
        "description": "Names this request in the logs, if it is 1 to 64 of `A-Za-z0-9._-`.",
        "schema": {"type": "string"},
    }
}


def _link(operation: str, description: str, task_id: str, **more: str) -> _Json:
    return {
        "operationId": operation,
        "description": description,
        "parameters": {"path.id": task_id, **more},
    }


_CREATED, _SAME = "$response.body#/id", "$request.path.id"
_IF_MATCH = {"header.If-Match": "$response.header.ETag"}

LINKS: _Json = {
    "get_made": _link("get_task", "Read the task that was made.", _CREATED),
    "update_made": _link(
        "update_task", "Change it, if it has not changed since.", _CREATED, **_IF_MATCH
    ),
    "complete_made": _link("complete_task", "Complete it.", _CREATED),
    "delete_made": _link("delete_task", "Delete it.", _CREATED),
    "get_again": _link("get_task", "Read it again.", _SAME),
    "update_same": _link(
        "update_task", "Change it, if it has not changed since.", _SAME, **_IF_MATCH
    ),
    "complete_same": _link(
        "complete_task", "Toggle it, if it has not changed since.", _SAME, **_IF_MATCH
    ),
    "delete_same": _link(
        "delete_task", "Delete it, if it has not changed since.", _SAME, **_IF_MATCH
    ),
}
