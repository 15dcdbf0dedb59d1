"""The HTTP contract: make a task, check a problem document, read the fields of a 422."""

from __future__ import annotations

from typing import Any

import httpx

Json = dict[str, Any]

MEMBERS = ["type", "title", "status", "detail", "code", "request_id"]

# The closed list of codes, each with the one status that it comes with.
STATUS = {
    "token_missing": 401,
    "token_malformed": 401,
    "token_invalid": 401,
    "token_expired": 401,
    "token_not_yet_valid": 401,
    "user_unknown": 401,
    "not_task_owner": 403,
    "task_not_found": 404,
    "route_not_found": 404,
    "method_not_allowed": 405,
    "stale_version": 412,
    "invalid_json": 400,
    "unsupported_media_type": 415,
    "body_too_large": 413,
    "validation_failed": 422,
    "database_unavailable": 503,
    "outcome_unknown": 503,
    "keys_unavailable": 503,
    "internal_error": 500,
    # Of what is no request.
    "malformed_request": 400,
    "request_timeout": 408,
    "headers_too_large": 431,
}


def create(client: httpx.Client, **body: Any) -> Json:
    """A task of the client's user."""
    response = client.post("/api/tasks", json={"title": "Buy milk", **body})
    assert response.status_code == 201, response.text
    task: Json = response.json()
    return task


def problem(response: httpx.Response, code: str) -> Json:
    """The problem document of this code, after a look at all that is true of every one."""
    assert response.headers["content-type"] == "application/problem+json", response.text
    document: Json = response.json()
    assert (response.status_code, document["code"]) == (STATUS[code], code), response.text
    more = ["errors"] if code == "validation_failed" else []
    assert list(document) == MEMBERS + more
    assert document["type"] == "about:blank"
    assert document["status"] == response.status_code
    assert document["request_id"] == response.headers["x-request-id"]
    assert response.headers["cache-control"] == "private, no-cache"
    assert varies_by(response) == ["Authorization", "Origin"]
    return document


def fields(response: httpx.Response) -> list[str]:
    """The fields that a 422 names, in its order."""
    return [error["field"] for error in problem(response, "validation_failed")["errors"]]


def varies_by(response: httpx.Response) -> list[str]:
    return sorted(name.strip() for name in response.headers["vary"].split(","))
