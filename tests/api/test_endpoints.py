"""The six endpoints do what the contract's first table says."""

from __future__ import annotations

from typing import Any

import httpx

FIELDS = ["id", "user_id", "title", "description", "completed", "created_at", "updated_at"]


def make(client: httpx.Client, **body: Any) -> dict[str, Any]:
    response = client.post("/api/tasks", json={"title": "Buy milk", **body})
    assert response.status_code == 201
    task: dict[str, Any] = response.json()
    return task


def test_a_created_task_is_answered_whole_with_its_place(
    as_alice: httpx.Client, alice: str
) -> None:
    response = as_alice.post("/api/tasks", json={"title": "  Buy milk ", "description": "oat"})
    task = response.json()
    assert response.status_code == 201
    assert list(task) == FIELDS
    assert (task["title"], task["description"], task["completed"]) == ("Buy milk", "oat", False)
    assert task["user_id"] == alice
    assert response.headers["location"] == f"/api/tasks/{task['id']}"
    assert as_alice.get(response.headers["location"]).json() == task


def test_the_list_is_complete_and_newest_first(as_alice: httpx.Client) -> None:
    made = [make(as_alice, title=f"task {n}") for n in range(3)]
    response = as_alice.get("/api/tasks")
    assert response.status_code == 200
    assert response.json() == made[::-1]
