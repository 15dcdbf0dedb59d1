"""The six operations, one after the other, through whatever stands in front of a server."""

from __future__ import annotations

import httpx


def use_all(client: httpx.Client) -> None:
    made = client.post("/api/tasks", json={"title": "Buy milk"})
    assert made.status_code == 201, made.text
    path = made.headers["Location"]
    assert client.get(path).json() == made.json()
    tag = {"If-Match": made.headers["ETag"]}
    assert client.put(path, json={"title": "Buy oat milk"}, headers=tag).status_code == 200
    assert client.patch(f"{path}/complete").json()["completed"] is True
    listed = client.get("/api/tasks").json()
    assert [task["title"] for task in listed] == ["Buy oat milk"]
    assert client.delete(path).status_code == 204
    gone = client.get(path)
    assert (gone.status_code, gone.json()["code"]) == (404, "task_not_found")
