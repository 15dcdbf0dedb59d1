"""The limits of a task's fields, and unknown fields in a body."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.http_contract import Json, create, fields

JSON = {"Content-Type": "application/json"}

GOOD: dict[str, tuple[str, Any, Any]] = {
    "one-character": ("title", "a", "a"),
    "longest-title": ("title", "t" * 500, "t" * 500),
    "longest-in-code-points": ("title", "🥛" * 500, "🥛" * 500),
    "trimmed-to-fit": ("title", "  " + "t" * 500 + "\n", "t" * 500),
    "trimmed-of-any-space": ("title", "\u3000\u00a0\u2003t\t\u2029", "t"),
    "markup": ("title", "<b>'; DROP TABLE tasks; --", "<b>'; DROP TABLE tasks; --"),
    "right-to-left": ("title", "\u202eאבג", "\u202eאבג"),
    "no-description": ("description", None, None),
    "empty-description": ("description", "", ""),
    "longest-description": ("description", "d" * 10_000, "d" * 10_000),
    "untrimmed-description": ("description", " \n d ", " \n d "),
    "done": ("completed", True, True),
    "not-done": ("completed", False, False),
}

BAD: dict[str, tuple[str, Any]] = {
    "no-title": ("title", None),
    "empty-title": ("title", ""),
    "blank-title": ("title", " \t\u3000\n"),
    "long-title": ("title", "t" * 501),
    "number-title": ("title", 1),
    "boolean-title": ("title", True),
    "array-title": ("title", ["t"]),
    "object-title": ("title", {"title": "t"}),
    "nul-title": ("title", "a\0b"),
    "only-nul-title": ("title", "\0"),
    "long-description": ("description", "d" * 10_001),
    "number-description": ("description", 1.5),
    "boolean-description": ("description", False),
    "nul-description": ("description", "\0"),
    "one": ("completed", 1),
    "zero": ("completed", 0),
    "float": ("completed", 1.0),
    "yes": ("completed", "yes"),
    "text": ("completed", "true"),
    "null": ("completed", None),
    "array": ("completed", []),
}

UNKNOWN = {
    "user": '"user_id": "user_2"',
    "id": '"id": "00000000-0000-4000-8000-000000000000"',
    "times": '"created_at": "1970-01-01T00:00:00Z", "updated_at": null',
    "nested": '"more": {"title": [{"completed": [[[{}]]]}]}',
    "long-integer": '"more": ' + "9" * 5_000,
    "long-integer-below": '"more": -' + "9" * 5_000,
    "large-float": '"more": 1e400',
    "surrogate-value": r'"more": "\ud800"',
    "surrogate-key": r'"\udfff": 1',
    "nul-value": r'"more": "\u0000"',
    "nul-key": r'"\u0000": 1',
    "empty-key": '"": 1',
    "dunder": '"__class__": "x", "__proto__": {"completed": true}',
    "many": ", ".join(f'"f{n}": {n}' for n in range(5_000)),
}


@pytest.mark.parametrize("case", GOOD)
def test_a_good_value_is_kept(case: str, as_alice: httpx.Client, path: str) -> None:
    name, value, kept = GOOD[case]
    assert create(as_alice, **{name: value})[name] == kept
    assert as_alice.put(path, json={name: value}).json()[name] == kept
    assert as_alice.get(path).json()[name] == kept


@pytest.mark.parametrize("case", BAD)
def test_a_bad_value_is_a_422_that_names_its_field(
    case: str, as_alice: httpx.Client, task: Json, path: str
) -> None:
    name, value = BAD[case]
    body = {"title": "good", name: value}
    assert fields(as_alice.post("/api/tasks", json=body)) == [name]
    assert fields(as_alice.put(path, json={name: value})) == [name]
    assert as_alice.get("/api/tasks").json() == [task]


@pytest.mark.parametrize("name", ["title", "description"])
@pytest.mark.parametrize("text", [r"\ud800", r"\udc00", r"a\udfffb", r"\udc00\ud800"])
def test_a_lone_surrogate_is_refused_and_a_pair_is_not(
    name: str, text: str, as_alice: httpx.Client, path: str
) -> None:
    def put(value: str) -> httpx.Response:
        return as_alice.put(path, content=f'{{"{name}": "{value}"}}', headers=JSON)

    assert fields(put(text)) == [name]
    assert put(r"\ud83e\udd5b").json()[name] == "🥛"


@pytest.mark.parametrize("case", UNKNOWN)
def test_unknown_fields_are_ignored_whatever_their_value(
    case: str, as_alice: httpx.Client, alice: str, task: Json, path: str
) -> None:
    made = as_alice.post("/api/tasks", content=f'{{"title": "t", {UNKNOWN[case]}}}', headers=JSON)
    assert (made.status_code, made.json()["title"]) == (201, "t")
    content = f'{{{UNKNOWN[case]}, "completed": true}}'
    put = as_alice.put(path, content=content, headers=JSON).json()
    assert put == {**task, "completed": True, "updated_at": put["updated_at"]}
    set_ = as_alice.patch(f"{path}/complete", content=content, headers=JSON).json()
    assert set_ == {**put, "updated_at": set_["updated_at"]}
    assert {one["user_id"] for one in as_alice.get("/api/tasks").json()} == {alice}


@pytest.mark.parametrize("case", UNKNOWN)
def test_an_update_without_a_known_field_is_a_422(
    case: str, as_alice: httpx.Client, task: Json, path: str
) -> None:
    response = as_alice.put(path, content=f"{{{UNKNOWN[case]}}}", headers=JSON)
    assert fields(response) == ["body"]
    assert fields(as_alice.put(path, json={})) == ["body"]
    assert as_alice.get(path).json() == task


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=50))
def test_any_other_text_is_returned_unchanged(as_alice: httpx.Client, text: str) -> None:
    made = as_alice.post("/api/tasks", json={"title": f"|{text}|", "description": text})
    assert made.status_code == 201
    back = as_alice.get(made.headers["location"]).json()
    assert (back["title"], back["description"]) == (f"|{text}|", text)
