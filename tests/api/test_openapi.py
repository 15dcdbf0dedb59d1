"""The committed OpenAPI document is the one that the code makes and that a server returns."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from api.openapi_document import COMMITTED, operations
from support.api_server import Api
from support.http_contract import Json

OPERATIONS = {
    "list_tasks": ("GET", "/api/tasks"),
    "create_task": ("POST", "/api/tasks"),
    "get_task": ("GET", "/api/tasks/{id}"),
    "update_task": ("PUT", "/api/tasks/{id}"),
    "delete_task": ("DELETE", "/api/tasks/{id}"),
    "complete_task": ("PATCH", "/api/tasks/{id}/complete"),
    "is_live": ("GET", "/health/live"),
    "is_ready": ("GET", "/health/ready"),
}
OPEN = ("is_live", "is_ready")
# These codes belong to no single operation; the description of the document names them.
EVERYWHERE = {
    "route_not_found",
    "method_not_allowed",
    "malformed_request",
    "request_timeout",
    "headers_too_large",
}


def references(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        yield from (value for name, value in node.items() if name == "$ref")
    for child in (
        node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    ):
        yield from references(child)


def test_the_committed_document_is_what_the_code_makes(tmp_path: Path) -> None:
    # No variable and no .env, because the command needs neither a database nor a secret.
    printed = subprocess.run(
        [sys.executable, "-m", "taskapi.openapi"],
        cwd=tmp_path,
        env={"PYTHONIOENCODING": "utf-8"},
        timeout=60,
        capture_output=True,
        check=True,
    )
    assert printed.stdout == COMMITTED.read_bytes(), (
        "the document has changed: check the changes, and commit the output of "
        "`python -m taskapi.openapi > packages/taskapi/openapi.json`"
    )


def test_a_server_returns_the_committed_document(api: Api, document: Json) -> None:
    with api.client() as client:
        response = client.get("/openapi.json")
    assert response.headers["content-type"] == "application/json"
    assert response.json() == document


def test_every_operation_has_its_id_method_and_path(document: Json) -> None:
    found = {name: (method, path) for name, (method, path, _) in operations(document).items()}
    assert found == OPERATIONS


def test_every_operation_but_the_health_checks_takes_a_bearer_token(document: Json) -> None:
    for name, (_, _, operation) in operations(document).items():
        assert operation["security"] == ([] if name in OPEN else [{"bearer": []}])
    assert document["components"]["securitySchemes"] == {
        "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    }


def test_every_reference_exists_and_every_component_is_referred_to(document: Json) -> None:
    there = {
        f"#/components/{kind}/{name}"
        for kind, components in document["components"].items()
        if kind != "securitySchemes"
        for name in components
    }
    unreferred = {f"#/components/examples/{code}" for code in EVERYWHERE}
    assert unreferred < there
    assert all(f"`{code}`" in document["info"]["description"] for code in EVERYWHERE)
    assert set(references(document)) == there - unreferred
