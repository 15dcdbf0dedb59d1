"""A user of Better Auth can use all endpoints, with each algorithm of Better Auth's keys."""

from __future__ import annotations

import jwt
import pytest

from support.better_auth import StartAuth, client_with_token
from support.http_contract import create, problem

ALGORITHMS = ["EdDSA", "ES256", "ES512", "RS256", "PS256"]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_new_user_can_use_all_endpoints(algorithm: str, start_auth: StartAuth) -> None:
    with start_auth(KEY_ALGORITHM=algorithm) as auth, auth.api(BETTER_AUTH_SECRET="") as api:
        account = auth.sign_up()
        token = account.token()
        assert jwt.get_unverified_header(token)["alg"] == algorithm
        with client_with_token(api, token) as client:
            assert client.get("/api/tasks").json() == []
            task = create(client)
            assert task["user_id"] == account.id
            path = f"/api/tasks/{task['id']}"
            assert client.get(path).json() == task
            assert client.put(path, json={"title": "Buy bread"}).json()["title"] == "Buy bread"
            assert client.patch(f"{path}/complete").json()["completed"] is True
            assert [found["id"] for found in client.get("/api/tasks").json()] == [task["id"]]
            assert client.delete(path).status_code == 204
            problem(client.get(path), "task_not_found")


def test_a_user_cannot_read_the_tasks_of_another(start_auth: StartAuth) -> None:
    with start_auth() as auth, auth.api() as api:
        tokens = [auth.sign_up().token() for _ in range(2)]
        with client_with_token(api, tokens[0]) as owner, client_with_token(api, tokens[1]) as other:
            path = f"/api/tasks/{create(owner)['id']}"
            problem(other.get(path), "not_task_owner")
            assert other.get("/api/tasks").json() == []
            assert owner.get(path).status_code == 200
