"""Two users and every operation of the OpenAPI document: no user reaches a task of the other.

Each test checks the status, that the answer has nothing of the other user's task, and all rows.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import permutations
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest

from api.bola_matrix import REFUSED, SUCCESS, Cell, matrix
from api.openapi_document import COMMITTED
from support.api_server import Api
from support.http_contract import Json, create, problem


def send(client: httpx.Client, cell: Cell, task_id: str, others: Json) -> httpx.Response:
    """Send the request of a cell."""
    body = {name: True if kind == "boolean" else "own" for name, kind in cell.fields.items()}
    named = {"id": others["id"], "task_id": others["id"], "user_id": others["user_id"]}
    if not cell.names_other_user:
        return client.request(cell.method, cell.path.format(id=task_id), json=body or None)
    return client.request(
        cell.method,
        cell.path.format(id=task_id),
        json={**body, **named},
        params={**named, "owner": others["user_id"]},
        headers={"X-User-Id": others["user_id"], "Cookie": f"user_id={others['user_id']}"},
    )


def rows(admin: psycopg.Connection, owner: str) -> Sequence[object]:
    """Return a user's rows, which the operator's login reads."""
    return admin.execute(
        "SELECT tasks.*, xmin FROM tasks WHERE user_id = %s ORDER BY id", [owner]
    ).fetchall()


@pytest.mark.parametrize("cell", list(matrix(json.loads(COMMITTED.read_bytes()))), ids=str)
def test_a_user_reaches_no_task_of_another_user(
    cell: Cell, api: Api, alice: str, bob: str, admin: psycopg.Connection
) -> None:
    for me, other in permutations((alice, bob)):
        with api.client(me) as mine, api.client(other) as theirs:
            own = create(mine, title=f"own {uuid4()}")
            others = create(theirs, title=f"secret {uuid4()}", description=f"more {uuid4()}")
            before = rows(admin, me), rows(admin, other)
            named = {
                "own": own["id"],
                "other's": others["id"],
                "missing": str(uuid4()),
                "malformed": UUID(others["id"]).hex,
            }
            response = send(mine, cell, named[cell.target], others)
            after = rows(admin, me), rows(admin, other)

        assert after[1] == before[1]
        answer = f"{response.text} {response.headers}"
        assert not [
            name
            for name in ("id", "user_id", "title", "description", "created_at", "updated_at")
            if others[name] in answer
        ]
        if cell.target == "own":
            assert response.status_code == SUCCESS[cell.name]
            assert_success_has_the_own_task(cell, response, own)
            assert (after[0] != before[0]) == (cell.method not in ("GET", "HEAD"))
        else:
            status, code = REFUSED[cell.target]
            assert response.status_code == status
            assert after[0] == before[0]
            if cell.method != "HEAD":
                problem(response, code)


def assert_success_has_the_own_task(cell: Cell, response: httpx.Response, own: Json) -> None:
    """The answer has only tasks of the user's own, with the values that were sent."""
    if cell.method in ("HEAD", "DELETE"):
        assert response.content == b""
        return
    answer = response.json()
    tasks = answer if isinstance(answer, list) else [answer]
    assert {task["user_id"] for task in tasks} == {own["user_id"]}
    assert (own["id"] in [task["id"] for task in tasks]) == (cell.name != "create_task")
    for name, kind in cell.fields.items():
        assert answer[name] == (True if kind == "boolean" else "own")
