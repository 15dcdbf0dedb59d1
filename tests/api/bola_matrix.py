"""The matrix of the authorization tests, made from the OpenAPI document.

An operation that the matrix does not know is an AssertionError, so a new one cannot be left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from api.openapi_document import operations
from support.http_contract import Json

# The status of each operation for the user's own task.
SUCCESS = {
    "list_tasks": 200,
    "create_task": 201,
    "get_task": 200,
    "update_task": 200,
    "delete_task": 204,
    "complete_task": 200,
}
WITHOUT_A_USER = {"is_live", "is_ready"}
REFUSED = {
    "other's": (403, "not_task_owner"),
    "missing": (404, "task_not_found"),
    "malformed": (422, "validation_failed"),
}


@dataclass(frozen=True)
class Cell:
    """An operation, the task in its path, and whether all other inputs name another user's task."""

    name: str
    method: str
    path: str
    target: str
    names_other_user: bool
    fields: dict[str, str]

    def __str__(self) -> str:
        return (
            f"{self.method}-{self.name}-{self.target}" + "-names-other-user" * self.names_other_user
        )


def matrix(document: Json) -> Iterator[Cell]:
    """Yield every cell; an unknown operation or parameter is an AssertionError."""
    for name, (method, path, operation) in operations(document).items():
        placed = [p["name"] for p in operation.get("parameters", []) if p["in"] == "path"]
        if name in WITHOUT_A_USER:
            assert not operation["security"] and not placed, f"{name} needs a token or a task"
            continue
        assert name in SUCCESS, f"add {name} to SUCCESS"
        assert placed in ([], ["id"]) and path.count("{") == len(placed), (
            f"{path} has more than an id"
        )
        # HEAD is answered wherever GET is, but the document does not list it.
        for verb in ("GET", "HEAD") if method == "GET" else (method,):
            for target in ("own", *REFUSED) if placed else ("own",):
                for names_other_user in (False, True):
                    yield Cell(
                        name, verb, path, target, names_other_user, _fields(document, operation)
                    )


def _fields(document: Json, operation: Json) -> dict[str, str]:
    """Return the fields of an operation's body, with their types."""
    content = operation.get("requestBody", {"content": {}})["content"]
    if not content:
        return {}
    name = content["application/json"]["schema"]["$ref"].rpartition("/")[2]
    properties = document["components"]["schemas"][name]["properties"]
    return {field: schema.get("type", "string") for field, schema in properties.items()}
