"""The schemas of the document and the models of the code accept the same bodies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import httpx
import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from api.openapi_document import operations
from support.http_contract import Json
from taskcore import TaskCreate, TaskUpdate

Allows: TypeAlias = Callable[[str, object], bool]

MODELS: dict[str, type[BaseModel]] = {"TaskCreate": TaskCreate, "TaskUpdate": TaskUpdate}

# A title is trimmed before its length is checked, which a schema cannot express. So no text near
# the limits begins or ends with white space.
scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=3)
titles = st.text("a \0é🙂\n", max_size=6) | st.sampled_from([499, 500, 501]).map("x".__mul__)
descriptions = st.text("a \0", max_size=6) | st.sampled_from([9_999, 10_000, 10_001]).map(
    "🙂".__mul__
)
bodies = st.fixed_dictionaries(
    {},
    optional={
        "title": titles | scalars,
        "description": descriptions | scalars,
        "completed": st.booleans() | scalars | st.sampled_from(["yes", 1]),
        "id": scalars,
        "user_id": scalars,
    },
)


@pytest.fixture(scope="module")
def allows(document: Json) -> Allows:
    """Return a function that says whether a schema of the document allows a value."""

    def allows(name: str, value: object) -> bool:
        schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        return jsonschema_rs.is_valid(schema, value)

    return allows


def accepts(model: type[BaseModel], value: object) -> bool:
    try:
        model.model_validate(value)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize("name", MODELS)
def test_the_schema_and_the_code_agree(name: str, allows: Allows) -> None:
    @given(bodies)
    def agree(body: Json) -> None:
        assert allows(name, body) == accepts(MODELS[name], body)

    agree()


def test_both_accept_and_both_refuse(allows: Allows) -> None:
    """The control: neither accepts all bodies or refuses all."""
    for name, model in MODELS.items():
        assert allows(name, {"title": "t"}) and accepts(model, {"title": "t"})
        assert not allows(name, {"title": ""}) and not accepts(model, {"title": ""})


COMPLETIONS: list[tuple[Any, int]] = [
    ({}, 200),
    ({"completed": True}, 200),
    ({"completed": False, "title": 1}, 200),
    ({"completed": 1}, 422),
    ({"completed": None}, 422),
    ({"completed": "true"}, 422),
    ({"done": True}, 422),
    ([], 422),
    (True, 422),
    (None, 422),
]


@pytest.mark.parametrize(("body", "status"), COMPLETIONS, ids=repr)
def test_a_completion_is_accepted_if_its_schema_allows_it(
    body: Any, status: int, as_alice: httpx.Client, path: str, allows: Allows
) -> None:
    content = "null" if body is None else None
    answer = as_alice.patch(
        f"{path}/complete",
        json=body,
        content=content,
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code == status
    assert allows("TaskCompletion", body) == (status == 200)


def booleans_as_schemas(node: object) -> Iterator[str]:
    """The places where a schema is written as `true` or `false`."""
    if isinstance(node, dict):
        for keyword in ("properties", "not", "items", "additionalProperties"):
            value = node.get(keyword)
            inner = value.values() if keyword == "properties" and value else [value]
            if any(isinstance(schema, bool) for schema in inner):
                yield keyword
    for child in (
        node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    ):
        yield from booleans_as_schemas(child)


def test_no_schema_is_a_boolean_because_some_generators_cannot_read_it(document: Json) -> None:
    assert list(booleans_as_schemas(document)) == []
    # Control: it is found in each of its places.
    assert list(booleans_as_schemas([{"not": {"properties": {"a": False}}}])) == ["properties"]
    assert list(booleans_as_schemas({"items": {"not": True}})) == ["not"]


def test_only_a_completion_may_have_no_body(document: Json) -> None:
    needed = {
        name: operation["requestBody"].get("required", False)
        for name, (_, _, operation) in operations(document).items()
        if "requestBody" in operation
    }
    assert needed == {"create_task": True, "update_task": True, "complete_task": False}


def test_a_task_in_an_answer_matches_its_schema(
    document: Json, allows: Allows, as_alice: httpx.Client, path: str
) -> None:
    task = as_alice.get(path).json()
    assert allows("Task", task)
    assert list(document["components"]["schemas"]["Task"]["properties"]) == list(task)
    for name in task:
        assert not allows("Task", {field: task[field] for field in task if field != name})
    assert allows("Task", document["components"]["schemas"]["Task"]["examples"][0])
