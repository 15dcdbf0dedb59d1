"""The committed OpenAPI document, and the operations in it."""

from __future__ import annotations

from pathlib import Path

from support.http_contract import Json

COMMITTED = Path(__file__).parents[2] / "packages" / "taskapi" / "openapi.json"


def operations(document: Json) -> dict[str, tuple[str, str, Json]]:
    """Return each operation's method, path and description, by its operation id."""
    found = [
        (operation["operationId"], (method.upper(), path, operation))
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if method != "parameters"
    ]
    assert len(dict(found)) == len(found), "two operations have the same id"
    return dict(found)
