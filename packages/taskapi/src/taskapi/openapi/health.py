"""The two health endpoints in the document."""

from __future__ import annotations

from typing import Any

from taskapi import problems

from .parts import headers, reference
from .responses import refusals

_Json = dict[str, Any]


def _get(name: str, summary: str, description: str, schema: str, *kinds: problems.Kind) -> _Json:
    return {
        "get": {
            "tags": ["health"],
            "summary": summary,
            "description": description,
            "operationId": name,
            "security": [],
            "responses": {
                "200": {
                    "description": "Yes.",
                    "headers": headers("X-Request-ID", "Cache-Control"),
                    "content": {"application/json": {"schema": reference("schemas", schema)}},
                },
                **refusals([problems.INTERNAL_ERROR, *kinds]),
            },
        },
        "parameters": [reference("parameters", "X-Request-ID")],
    }


PATHS: _Json = {
    "/health/live": _get("is_live", "Is Live", "The process answers.", "Live"),
    "/health/ready": _get(
        "is_ready",
        "Is Ready",
        "The database is there, its schema not behind the code, the keys are loaded, and no stop "
        "is under way.",
        "Ready",
        problems.NOT_READY,
    ),
}
