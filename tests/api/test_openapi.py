"""The OpenAPI document is committed beside the package, and is the one that a server answers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import taskapi
from fix_api import Api
from fix_contract import Json

COMMITTED = Path(taskapi.__file__).parents[2] / "openapi.json"
OPERATIONS = {
    "list_tasks": "GET /api/tasks",
    "create_task": "POST /api/tasks",
    "get_task": "GET /api/tasks/{id}",
    "update_task": "PUT /api/tasks/{id}",
    "delete_task": "DELETE /api/tasks/{id}",
    "complete_task": "PATCH /api/tasks/{id}/complete",
    "is_live": "GET /health/live",
    "is_ready": "GET /health/ready",
}
OPEN = {"is_live", "is_ready"}


def operations(document: Json) -> list[tuple[str, Json]]:
    return [
        (f"{method.upper()} {path}", operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if method != "parameters"
    ]


def test_the_committed_document_is_what_the_code_says(tmp_path: Path) -> None:
    # No variable and no .env: it takes neither a database nor a secret.
    printed = subprocess.run(
        [sys.executable, "-m", "taskapi.openapi"],
        cwd=tmp_path,
        env={"PYTHONIOENCODING": "utf-8"},
        timeout=60,
        capture_output=True,
        check=True,
    )
    assert printed.stdout == COMMITTED.read_bytes(), (
        "the document has changed: look at what has, and commit the output of "
        "`python -m taskapi.openapi > packages/taskapi/openapi.json`"
    )


def test_a_server_answers_with_it(api: Api) -> None:
    with api.client() as client:
        response = client.get("/openapi.json")
    assert response.headers["content-type"] == "application/json"
    assert response.json() == json.loads(COMMITTED.read_bytes())


def test_every_operation_has_a_name_of_its_own() -> None:
    found = [(op["operationId"], at) for at, op in operations(json.loads(COMMITTED.read_bytes()))]
    assert sorted(found) == sorted(OPERATIONS.items())


def test_every_operation_but_the_health_checks_takes_a_bearer_token() -> None:
    document = json.loads(COMMITTED.read_bytes())
    assert "security" not in document
    for _, operation in operations(document):
        needed = [] if operation["operationId"] in OPEN else [{"bearer": []}]
        assert operation["security"] == needed
    assert document["components"]["securitySchemes"] == {
        "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    }


def test_everything_that_is_referred_to_is_there_and_all_that_is_there_is_referred_to() -> None:
    document = json.loads(COMMITTED.read_bytes())
    referred: set[str] = set()

    def walk(node: object) -> None:
        if isinstance(node, dict):
            reference = node.get("$ref")
            if isinstance(reference, str):
                referred.add(reference)
            for child in node.values():
                walk(child)
        elif isinstance(node, list):
            for child in node:
                walk(child)

    walk(document)
    there = {
        f"#/components/{kind}/{name}"
        for kind, components in document["components"].items()
        if kind != "securitySchemes"
        for name in components
    }
    examples = {f"#/components/examples/{code}" for code in ("route_not_found", "method_not_allowed")}
    assert referred == there - examples
    assert examples <= there
