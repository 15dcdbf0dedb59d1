"""A 422 lists every wrong field at once, with a message that says what is wrong."""

from __future__ import annotations

import httpx
import pytest

from support.http_contract import Json, fields, problem

WRONG = {"title": " ", "description": 1, "completed": "no"}


def test_a_create_lists_its_header_and_all_its_fields(as_alice: httpx.Client) -> None:
    response = as_alice.post("/api/tasks", json=WRONG, headers={"Idempotency-Key": ""})
    assert fields(response) == ["header.Idempotency-Key", "title", "description", "completed"]
    assert as_alice.get("/api/tasks").json() == []


def test_an_update_lists_its_path_and_all_its_fields(as_alice: httpx.Client) -> None:
    response = as_alice.put("/api/tasks/1", json=WRONG)
    assert fields(response) == ["path.id", "title", "description", "completed"]


def test_a_completion_lists_its_path_and_its_field(as_alice: httpx.Client) -> None:
    response = as_alice.patch("/api/tasks/1/complete", json={"completed": 1})
    assert fields(response) == ["path.id", "completed"]


def test_a_part_that_is_right_is_not_listed(as_alice: httpx.Client, path: str) -> None:
    """The control: with one part corrected, only the others are listed."""
    assert fields(as_alice.put(path, json=WRONG)) == ["title", "description", "completed"]
    assert fields(as_alice.put("/api/tasks/1", json={"title": "good"})) == ["path.id"]
    assert as_alice.put(path, json={"title": "good"}).status_code == 200


MESSAGES: list[tuple[Json | list[object], str, str]] = [
    ({}, "title", "Field required"),
    ({"title": ""}, "title", "at least 1 character"),
    ({"title": "t" * 501}, "title", "at most 500 characters"),
    ({"title": 1}, "title", "valid string"),
    ({"title": "\0"}, "title", "NUL"),
    ({"title": "t", "description": "d" * 10_001}, "description", "at most 10000 characters"),
    ({"title": "t", "completed": 1}, "completed", "valid boolean"),
    ([], "body", "must be an object"),
]


@pytest.mark.parametrize(("body", "field", "part"), MESSAGES, ids=[m[2] for m in MESSAGES])
def test_a_message_says_what_is_wrong(
    body: Json | list[object], field: str, part: str, as_alice: httpx.Client
) -> None:
    document = problem(as_alice.post("/api/tasks", json=body), "validation_failed")
    (error,) = document["errors"]
    assert list(error) == ["field", "message"]
    assert error["field"] == field
    assert part in error["message"]


def test_no_message_repeats_what_was_sent(as_alice: httpx.Client) -> None:
    marked = {name: ["a mark of the client's"] for name in WRONG}
    assert "a mark" not in as_alice.post("/api/tasks", json=marked).text
