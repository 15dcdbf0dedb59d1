"""The committed OpenAPI document, for whoever derives tests from it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fix_contract import Json

COMMITTED = Path(__file__).parents[1] / "packages" / "taskapi" / "openapi.json"


def operations(document: Json) -> dict[str, tuple[str, str, Json]]:
    """By its name, each operation's method, path and description."""
    found = [
        (operation["operationId"], (method.upper(), path, operation))
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if method != "parameters"
    ]
    assert len(dict(found)) == len(found), "two operations have one name"
    return dict(found)


@pytest.fixture(scope="session")
def document() -> Json:
    document: Json = json.loads(COMMITTED.read_bytes())
    return document
