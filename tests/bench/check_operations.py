"""Before the measurements: every peer must do the six operations, and do them correctly."""

from __future__ import annotations

from bench.database import TASKS
from bench.servers import Running

_FIELDS = {"id", "user_id", "title", "description", "completed", "created_at", "updated_at"}


def check_operations(server: Running, number: int) -> None:
    """Run the six operations once, and read each change back; a bad token must be refused."""
    user = f"user-{number}"
    with server.client(number) as client:
        made = client.post("/api/tasks", json={"title": "one more", "description": "text"})
        _require(server, made.status_code == 201 and set(made.json()) >= _FIELDS, "create")
        path = f"/api/tasks/{made.json()['id']}"
        tasks = client.get("/api/tasks").json()
        newest = tasks[0]["id"] == made.json()["id"]
        _require(server, newest and len(tasks) == TASKS + 1, "list")
        _require(server, all(task["user_id"] == user for task in tasks), "list of one user")
        changed = client.put(path, json={"title": "changed"}).json()
        _require(
            server, changed["title"] == "changed" and changed["description"] == "text", "update"
        )
        _require(server, client.patch(f"{path}/complete").json()["completed"] is True, "toggle")
        task = client.get(path).json()
        _require(server, task["title"] == "changed" and task["completed"] is True, "get")
        _require(server, client.delete(path).status_code == 204, "delete")
        _require(server, len(client.get("/api/tasks").json()) == TASKS, "deletion")
        if server.name != "limit":  # it handles no errors
            refused = client.get(path, headers={"Authorization": "Bearer no.to.ken"})
            _require(server, refused.status_code == 401, "refusal of a bad token")


def _require(server: Running, condition: bool, name: str) -> None:
    if not condition:
        raise RuntimeError(f"{server.name}: {name} is not correct")
