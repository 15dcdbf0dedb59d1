"""`PATCH …/complete` toggles when it is asked to, sets when it is told what, and never guesses."""

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

MISTAKES: dict[str, tuple[str, str]] = {
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
def test_without_a_wish_it_toggles(form: str, as_alice: httpx.Client, path: str) -> None:
    first = as_alice.patch(f"{path}/complete", **TOGGLES[form])
    assert (first.status_code, first.json()["completed"]) == (200, True)
    second = as_alice.patch(f"{path}/complete", **TOGGLES[form])
    assert (second.status_code, second.json()["completed"]) == (200, False)
    assert as_alice.get(path).json() == second.json()


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("wish", [False, True])
def test_a_boolean_sets_whatever_was(before: bool, wish: bool, as_alice: httpx.Client) -> None:
    task = create(as_alice, completed=before)
    complete = f"/api/tasks/{task['id']}/complete"
    for _ in range(2):
        response = as_alice.patch(complete, json={"completed": wish})
        assert (response.status_code, response.json()["completed"]) == (200, wish)


def test_what_stands_beside_the_boolean_is_ignored(as_alice: httpx.Client, path: str) -> None:
    wish = {"completed": True, "title": "taken", "user_id": "somebody"}
    changed = as_alice.patch(f"{path}/complete", json=wish).json()
    assert (changed["completed"], changed["title"]) == (True, "Buy milk")


@pytest.mark.parametrize("mistake", MISTAKES)
def test_it_never_toggles_by_mistake(mistake: str, as_alice: httpx.Client, path: str) -> None:
    before = as_alice.get(path).json()
    content, field = MISTAKES[mistake]
    response = as_alice.patch(f"{path}/complete", content=content, headers=JSON)
    assert fields(response) == [field]
    assert as_alice.get(path).json() == before


def test_white_space_is_no_empty_body(as_alice: httpx.Client, path: str) -> None:
    response = as_alice.patch(f"{path}/complete", content=b" \n", headers=JSON)
    problem(response, "invalid_json")
    assert as_alice.get(path).json()["completed"] is False
