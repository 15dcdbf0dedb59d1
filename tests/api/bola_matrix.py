"""Who may do what, as a matrix made from the OpenAPI document: what is new is in it or stops it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from api.openapi_document import operations
from support.http_contract import Json

# What an operation answers to its own user.
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
    """An operation, whose task its path names, and whether all else names the other's."""

    name: str
    method: str
    path: str
    whose: str
    misled: bool
    fields: dict[str, str]

    def __str__(self) -> str:
        return f"{self.method}-{self.name}-{self.whose}" + "-misled" * self.misled


def matrix(document: Json) -> Iterator[Cell]:
    """Every cell; an operation of a kind that nobody has thought of is an error."""
    for name, (method, path, operation) in operations(document).items():
        placed = [p["name"] for p in operation.get("parameters", []) if p["in"] == "path"]
        if name in WITHOUT_A_USER:
            assert not operation["security"] and not placed, f"whom does {name} answer?"
            continue
        assert name in SUCCESS, f"say what {name} answers to its own user"
        assert placed in ([], ["id"]) and path.count("{") == len(placed), f"what does {path} name?"
        # HEAD is answered where GET is, and stands in no document.
        for verb in ("GET", "HEAD") if method == "GET" else (method,):
            for whose in ("own", *REFUSED) if placed else ("own",):
                for misled in (False, True):
                    yield Cell(name, verb, path, whose, misled, _fields(document, operation))


def _fields(document: Json, operation: Json) -> dict[str, str]:
    """The fields of an operation's body, with their types."""
    content = operation.get("requestBody", {"content": {}})["content"]
    if not content:
        return {}
    name = content["application/json"]["schema"]["$ref"].rpartition("/")[2]
    properties = document["components"]["schemas"][name]["properties"]
    return {field: schema.get("type", "string") for field, schema in properties.items()}
