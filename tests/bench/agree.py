"""Before anybody is measured: everybody does the same, and what is asked takes place."""

from __future__ import annotations

from bench.servers import Running
from bench.world import TASKS

_FIELDS = {"id", "user_id", "title", "description", "completed", "created_at", "updated_at"}


def agree(server: Running, number: int) -> None:
    """The six operations once, each seen in the next; and nobody gets in without a token."""
    user = f"user-{number}"
    with server.client(number) as client:
        made = client.post("/api/tasks", json={"title": "one more", "description": "text"})
        _holds(server, made.status_code == 201 and set(made.json()) >= _FIELDS, "create")
        path = f"/api/tasks/{made.json()['id']}"
        tasks = client.get("/api/tasks").json()
        newest = tasks[0]["id"] == made.json()["id"]
        _holds(server, newest and len(tasks) == TASKS + 1, "list")
        _holds(server, all(task["user_id"] == user for task in tasks), "list of one user")
        changed = client.put(path, json={"title": "changed"}).json()
        _holds(server, changed["title"] == "changed" and changed["description"] == "text", "update")
        _holds(server, client.patch(f"{path}/complete").json()["completed"] is True, "toggle")
        task = client.get(path).json()
        _holds(server, task["title"] == "changed" and task["completed"] is True, "get")
        _holds(server, client.delete(path).status_code == 204, "delete")
        _holds(server, len(client.get("/api/tasks").json()) == TASKS, "deletion")
        if server.name != "limit":  # which handles no error
            stranger = client.get(path, headers={"Authorization": "Bearer no.to.ken"})
            _holds(server, stranger.status_code == 401, "refusal of a bad token")


def _holds(server: Running, what: bool, name: str) -> None:
    if not what:
        raise RuntimeError(f"{server.name}: {name} does not do what it should")
