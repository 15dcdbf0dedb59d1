"""Every rule of the two input schemas; stored text comes back unchanged."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from taskcore import Database, TaskCreate, TaskUpdate, create_task, get_task, update_task

SCHEMAS: list[type[BaseModel]] = [TaskCreate, TaskUpdate]
UNSTORABLE = ["a\0b", "a\ud800b", "a\udfffb"]

each_schema = pytest.mark.parametrize("schema", SCHEMAS)


@each_schema
def test_a_title_is_trimmed(schema: type[BaseModel]) -> None:
    assert schema.model_validate({"title": " \t\n Buy  milk\u3000"}).model_dump(
        exclude_unset=True
    ) == {"title": "Buy  milk"}


@each_schema
@pytest.mark.parametrize("title", ["", " ", "\u2003\n", "x" * 501, "😀" * 501, None, 1])
def test_a_title_has_1_to_500_characters(schema: type[BaseModel], title: object) -> None:
    with pytest.raises(ValidationError) as refused:
        schema.model_validate({"title": title})
    assert [error["loc"] for error in refused.value.errors()] == [("title",)]
    for good in ("x", "x" * 500, "😀" * 500, f"  {'x' * 500}  "):
        schema.model_validate({"title": good})


@each_schema
@pytest.mark.parametrize("description", ["x" * 10_001, 1])
def test_a_description_has_up_to_10000_characters(
    schema: type[BaseModel], description: object
) -> None:
    with pytest.raises(ValidationError) as refused:
        schema.model_validate({"title": "x", "description": description})
    assert [error["loc"] for error in refused.value.errors()] == [("description",)]
    for good in (None, "", "  kept as it is ", "😀" * 10_000):
        given = schema.model_validate({"title": "x", "description": good})
        assert given.model_dump()["description"] == good


@each_schema
@pytest.mark.parametrize("completed", ["yes", "true", 1, 0, 1.0, None])
def test_completed_accepts_only_booleans(schema: type[BaseModel], completed: object) -> None:
    with pytest.raises(ValidationError) as refused:
        schema.model_validate({"title": "x", "completed": completed})
    assert [error["loc"] for error in refused.value.errors()] == [("completed",)]
    for good in (True, False):
        given = schema.model_validate({"title": "x", "completed": good})
        assert given.model_dump()["completed"] is good


@each_schema
@pytest.mark.parametrize("field", ["title", "description"])
@pytest.mark.parametrize("text", UNSTORABLE, ids=["NUL", "high surrogate", "low surrogate"])
def test_characters_that_cannot_be_stored_are_refused(
    schema: type[BaseModel], field: str, text: str
) -> None:
    with pytest.raises(ValidationError):
        schema.model_validate({"title": "x", field: text})
    with pytest.raises(ValidationError):
        schema.model_validate_json(json.dumps({"title": "x", field: text}))
    schema.model_validate_json(json.dumps({"title": "x", field: "a\U0001f600\x01b"}))


@each_schema
def test_unknown_fields_are_ignored(schema: type[BaseModel]) -> None:
    task = schema.model_validate({"title": "x", "user_id": "bob", "id": 1, "updated_at": "now"})
    assert task.model_fields_set == {"title"}


@pytest.mark.parametrize("body", [{}, {"nonsense": 1}, {"user_id": "bob"}])
def test_an_update_needs_at_least_one_field(body: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="at least one of title, description, completed"):
        TaskUpdate.model_validate(body)
    for field in ({"title": "x"}, {"description": None}, {"completed": False}):
        assert TaskUpdate.model_validate(body | field).model_fields_set == set(field)


def test_the_update_of_the_json_schema_has_no_default_and_no_null_title() -> None:
    shown = TaskUpdate.model_json_schema()
    properties = shown["properties"]
    assert sorted(properties) == ["completed", "description", "title"]
    assert [name for name, field in properties.items() if "default" in field] == []
    assert (properties["title"]["type"], properties["completed"]["type"]) == ("string", "boolean")
    assert {"type": "null"} in properties["description"]["anyOf"]
    assert "required" not in shown
    # Control: a default that exists is shown.
    assert TaskCreate.model_json_schema()["properties"]["completed"]["default"] is False


@pytest.mark.parametrize("task", [TaskCreate(title="x"), TaskUpdate(title="x")])
def test_fields_cannot_be_assigned_after_validation(task: BaseModel) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        setattr(task, "title", "\0")  # noqa: B010
    assert task.model_dump(include={"title"}) == {"title": "x"}


storable = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=80)
stored = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])


@stored
@given(title=storable.filter(str.strip).map("x".__add__), description=st.none() | storable)
@example(title="x" * 500, description="\U0001f600" * 10_000)
@example(title="'; DROP TABLE tasks --", description="%s %(x)s $1 :x \\ \x01\x7f\r\n")
@example(title="\ufeffe\u0301\u202e\ufffe", description="")
def test_text_comes_back_as_it_was_stored(
    title: str, description: str | None, db: Database, alice: str
) -> None:
    body = TaskCreate(title=title, description=description)
    assert (body.title.strip(), body.description) == (title.strip(), description)
    task = db.run(create_task(alice, body))
    again = db.run(update_task(alice, task.id, TaskUpdate(title=title, description=description)))
    for found in (task, again, db.run(get_task(alice, task.id))):
        assert (found.title, found.description) == (body.title, description)


unstorable = st.builds(
    lambda before, bad, after: before + bad + after,
    storable,
    st.sampled_from("\0\ud800\udbff\udc00\udfff"),
    storable,
)


@each_schema
@given(text=unstorable, field=st.sampled_from(["title", "description"]))
def test_text_with_an_unstorable_character_is_always_refused(
    schema: type[BaseModel], text: str, field: str
) -> None:
    body: dict[str, Any] = {"title": "x", field: text}
    with pytest.raises(ValidationError):
        schema.model_validate(body)
