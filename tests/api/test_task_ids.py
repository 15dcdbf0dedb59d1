"""An id in a path is a UUID with hyphens; any other form is a 422."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import httpx
import pytest

from support.http_contract import Json, fields, problem

NOT_IDS: dict[str, Callable[[str], str]] = {
    "number": lambda _: "1",
    "word": lambda _: "complete",
    "hex": lambda task: task.replace("-", ""),
    "braces": lambda task: f"%7B{task}%7D",
    "urn": lambda task: f"urn:uuid:{task}",
    "short": lambda task: task[:-1],
    "long": lambda task: task + "0",
    "misplaced": lambda task: task.replace("-", "", 1)[:12] + "-" + task.replace("-", "", 1)[12:],
    "newline": lambda task: f"{task}%0A",
    "space": lambda task: f"%20{task}",
    "nul": lambda task: f"{task}%00",
    "only-nul": lambda _: "%00",
    "not-utf-8": lambda task: f"{task}%FF",
    "fullwidth": lambda task: task[:-1] + "%EF%BC%91",
    "not-hex": lambda task: "g" + task[1:],
    "quote": lambda task: f"{task}'",
    "wildcard": lambda _: "*",
}
OPERATIONS: dict[str, Callable[[httpx.Client, str], httpx.Response]] = {
    "get": lambda client, at: client.get(at),
    "put": lambda client, at: client.put(at, json={"title": "changed"}),
    "complete": lambda client, at: client.patch(f"{at}/complete"),
    "delete": lambda client, at: client.delete(at),
}


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("form", NOT_IDS)
def test_any_other_form_is_a_422(form: str, name: str, as_alice: httpx.Client, task: Json) -> None:
    at = f"/api/tasks/{NOT_IDS[form](task['id'])}"
    assert fields(OPERATIONS[name](as_alice, at)) == ["path.id"]
    assert as_alice.get("/api/tasks").json() == [task]


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_id_in_upper_case_is_accepted(name: str, as_alice: httpx.Client, task: Json) -> None:
    """The control."""
    at = f"/api/tasks/{task['id'].upper()}"
    assert OPERATIONS[name](as_alice, at).status_code in (200, 204)


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("unknown", [UUID(int=1 << 80), UUID(int=0), UUID(int=2**128 - 1)], ids=str)
def test_any_other_uuid_is_a_404(unknown: UUID, name: str, as_alice: httpx.Client) -> None:
    problem(OPERATIONS[name](as_alice, f"/api/tasks/{unknown}"), "task_not_found")
