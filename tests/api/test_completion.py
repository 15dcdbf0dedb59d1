"""`PATCH …/complete` toggles without a value, sets a boolean, and refuses any other value."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from support.http_contract import create, fields, problem

JSON = {"Content-Type": "application/json"}

TOGGLES: dict[str, dict[str, Any]] = {
    "nothing": {},
    "empty": {"content": b""},
    "empty-json": {"content": b"", "headers": JSON},
    "chunked-empty-json": {"content": iter([b""]), "headers": JSON},
    "empty-object": {"content": b"{}", "headers": JSON},
    "empty-object-spaced": {"content": b" { } \n", "headers": JSON},
}

INVALID: dict[str, tuple[str, str]] = {
    "null": ("null", "body"),
    "array": ("[]", "body"),
    "string": ('"completed"', "body"),
    "true": ("true", "body"),
    "number": ("0", "body"),
    "misspelt": ('{"complete": true}', "completed"),
    "unknown": ('{"id": null}', "completed"),
    "one": ('{"completed": 1}', "completed"),
    "zero": ('{"completed": 0}', "completed"),
    "float": ('{"completed": 1.0}', "completed"),
    "null-value": ('{"completed": null}', "completed"),
    "yes": ('{"completed": "yes"}', "completed"),
    "text": ('{"completed": "true"}', "completed"),
    "nested": ('{"completed": {"completed": true}}', "completed"),
    "array-value": ('{"completed": [true]}', "completed"),
    "uppercase": ('{"Completed": true}', "completed"),
}


@pytest.mark.parametrize("form", TOGGLES)
def test_without_a_value_it_toggles(form: str, as_alice: httpx.Client, path: str) -> None:
    first = as_alice.patch(f"{path}/complete", **TOGGLES[form])
    assert (first.status_code, first.json()["completed"]) == (200, True)
    second = as_alice.patch(f"{path}/complete", **TOGGLES[form])
    assert (second.status_code, second.json()["completed"]) == (200, False)
    assert as_alice.get(path).json() == second.json()


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("value", [False, True])
def test_a_boolean_sets_the_value(before: bool, value: bool, as_alice: httpx.Client) -> None:
    task = create(as_alice, completed=before)
    complete = f"/api/tasks/{task['id']}/complete"
    for _ in range(2):
        response = as_alice.patch(complete, json={"completed": value})
        assert (response.status_code, response.json()["completed"]) == (200, value)


def test_other_fields_beside_the_boolean_are_ignored(as_alice: httpx.Client, path: str) -> None:
    value = {"completed": True, "title": "taken", "user_id": "user_2"}
    changed = as_alice.patch(f"{path}/complete", json=value).json()
    assert (changed["completed"], changed["title"]) == (True, "Buy milk")


@pytest.mark.parametrize("case", INVALID)
def test_an_invalid_body_does_not_toggle(case: str, as_alice: httpx.Client, path: str) -> None:
    before = as_alice.get(path).json()
    content, field = INVALID[case]
    response = as_alice.patch(f"{path}/complete", content=content, headers=JSON)
    assert fields(response) == [field]
    assert as_alice.get(path).json() == before


def test_white_space_is_not_an_empty_body(as_alice: httpx.Client, path: str) -> None:
    response = as_alice.patch(f"{path}/complete", content=b" \n", headers=JSON)
    problem(response, "invalid_json")
    assert as_alice.get(path).json()["completed"] is False
