"""An unexpected error is a 500 with the request's id and without any internal detail."""

from __future__ import annotations

import psycopg
import pytest

from support.api_server import ORIGIN, Api, Serve
from support.http_contract import create, problem

TITLE = "a title that must be in no log at all."

# Each makes the database refuse a write with an error that the code does not expect.
BREAKS = {
    "the policy": "ALTER POLICY taskcore_owner ON tasks WITH CHECK (title LIKE 'Buy%')",
    "a constraint": "ALTER TABLE tasks ADD CONSTRAINT inner_constraint CHECK (title LIKE 'Buy%')",
    "an arithmetic error": (
        "ALTER TABLE tasks ADD CONSTRAINT inner_constraint CHECK (30 / (length(title) - 38) <> 0)"
    ),
}


@pytest.fixture
def own_user(own_url: str) -> str:
    with psycopg.connect(own_url, autocommit=True) as admin:
        admin.execute("INSERT INTO users (id) VALUES ('user_1')")
    return "user_1"


@pytest.mark.parametrize("name", BREAKS)
def test_an_unexpected_error_is_a_500_with_the_request_id_only(
    name: str, serve: Serve, own_url: str, own_user: str
) -> None:
    with serve(own_url) as api, api.client(own_user, Origin=ORIGIN) as client:
        task = create(client)
        with psycopg.connect(own_url, autocommit=True) as admin:
            admin.execute(BREAKS[name])
        for method, at in (("POST", "/api/tasks"), ("PUT", f"/api/tasks/{task['id']}")):
            named = {"X-Request-ID": "the-one"}
            response = client.request(method, at, json={"title": TITLE}, headers=named)
            document = problem(response, "internal_error")
            assert document["request_id"] == "the-one"
            assert document["detail"] == "Something went wrong on our side."
            assert response.headers["access-control-allow-origin"] == ORIGIN
            assert "retry-after" not in response.headers
        # The server serves on, and nothing was written.
        assert client.get("/api/tasks").json() == [task]
        assert api.process.poll() is None
    _assert_is_logged_without_the_title(api)


def _assert_is_logged_without_the_title(api: Api) -> None:
    log = api.log.read_text()
    assert "unhandled" in log and "the-one" in log
    assert TITLE not in log
