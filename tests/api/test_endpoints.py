"""The six endpoints do what the contract's first table says."""

from __future__ import annotations

import re
from datetime import datetime

import httpx
import pytest

from support.http_contract import Json, create

FIELDS = ["id", "user_id", "title", "description", "completed", "created_at", "updated_at"]
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z")


def test_a_create_returns_the_task_and_its_location(as_alice: httpx.Client, alice: str) -> None:
    response = as_alice.post("/api/tasks", json={"title": "  Buy milk ", "description": "oat"})
    task = response.json()
    assert response.status_code == 201
    assert response.headers["content-type"] == "application/json"
    assert list(task) == FIELDS
    assert (task["title"], task["description"], task["completed"]) == ("Buy milk", "oat", False)
    assert task["user_id"] == alice
    assert response.headers["location"] == f"/api/tasks/{task['id']}"
    assert as_alice.get(response.headers["location"]).json() == task


def test_only_the_title_is_needed(as_alice: httpx.Client) -> None:
    task = as_alice.post("/api/tasks", json={"title": "alone"}).json()
    assert (task["title"], task["description"], task["completed"]) == ("alone", None, False)


def test_a_task_can_be_created_completed(as_alice: httpx.Client) -> None:
    assert create(as_alice, completed=True)["completed"] is True


def test_times_are_rfc_3339_in_utc(task: Json) -> None:
    for name in ("created_at", "updated_at"):
        assert TIME.fullmatch(task[name])
        assert datetime.fromisoformat(task[name]).utcoffset() is not None


def test_the_list_is_complete_and_newest_first(as_alice: httpx.Client) -> None:
    assert as_alice.get("/api/tasks").json() == []
    made = [create(as_alice, title=f"task {n}") for n in range(3)]
    response = as_alice.get("/api/tasks")
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.json() == made[::-1]


@pytest.mark.parametrize(
    ("name", "value"),
    [("title", "Buy oat milk"), ("description", "rye"), ("description", None), ("completed", True)],
)
def test_a_put_changes_the_given_field_and_keeps_the_others(
    name: str, value: object, as_alice: httpx.Client, task: Json, path: str
) -> None:
    response = as_alice.put(path, json={name: value})
    changed = response.json()
    assert response.status_code == 200
    assert changed == {**task, name: value, "updated_at": changed["updated_at"]}
    assert changed["updated_at"] > task["updated_at"]
    assert as_alice.get(path).json() == changed


def test_a_client_can_put_the_task_that_it_read(
    as_alice: httpx.Client, task: Json, path: str
) -> None:
    changed = as_alice.put(path, json={**task, "title": "changed"}).json()
    assert changed == {**task, "title": "changed", "updated_at": changed["updated_at"]}


def test_a_deleted_task_is_gone_and_the_answer_has_no_body(
    as_alice: httpx.Client, path: str
) -> None:
    other = create(as_alice, title="stays")
    response = as_alice.delete(path)
    assert (response.status_code, response.content) == (204, b"")
    assert "content-type" not in response.headers
    assert as_alice.get(path).status_code == 404
    assert as_alice.delete(path).status_code == 404
    assert as_alice.get("/api/tasks").json() == [other]
