"""Better Auth's users table is adopted as it is; deleting a user there deletes the user's tasks."""

from __future__ import annotations

from typing import Any

import httpx
import psycopg
import pytest

from support.better_auth import (
    PASSWORD,
    BetterAuth,
    StartAuth,
    client_with_token,
    running_better_auth,
)
from support.http_contract import create, problem
from taskcore import migrations


def query_rows(auth: BetterAuth, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(auth.database_url) as connection:
        return connection.execute(query.encode()).fetchall()


def test_the_migration_adopts_better_auths_users_table(start_auth: StartAuth) -> None:
    with start_auth() as auth:
        keys = query_rows(
            auth,
            "SELECT confrelid::regclass::text, confdeltype FROM pg_constraint"
            " WHERE conrelid = 'tasks'::regclass AND contype = 'f'",
        )
        assert keys == [('"user"', "c")]
        assert query_rows(auth, "SELECT to_regclass('public.users')") == [(None,)]
        assert migrations.check(auth.database_url) == []


def test_the_tables_that_another_alembic_leaves_out_are_better_auths(start_auth: StartAuth) -> None:
    with start_auth() as auth:
        tables = query_rows(
            auth,
            "SELECT relname FROM pg_class"
            " WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'",
        )
    names = {name for (name,) in tables}
    # The server of these tests has the plugin oauthProvider besides.
    others = {name for name in names if name.startswith("oauth")}
    assert others
    assert names - {"tasks", "taskcore_version"} - others == set(migrations.BETTER_AUTH_TABLES)


def test_better_auth_can_migrate_again_beside_the_tasks(
    start_auth: StartAuth, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with start_auth() as auth, auth.api() as api:
        with client_with_token(api, auth.sign_up().token()) as client:
            made = create(client)
        place = tmp_path_factory.mktemp("again")
        with running_better_auth(auth.database_url, place, {}):
            assert [str(row[0]) for row in query_rows(auth, "SELECT id FROM tasks")] == [made["id"]]
            assert migrations.check(auth.database_url) == []


def test_a_user_deleted_in_better_auth_has_no_access_and_no_tasks(start_auth: StartAuth) -> None:
    with start_auth() as auth, auth.api() as api:
        leaving, staying = auth.sign_up(), auth.sign_up()
        with (
            client_with_token(api, leaving.token()) as gone,
            client_with_token(api, staying.token()) as here,
        ):
            path = f"/api/tasks/{create(gone)['id']}"
            kept = create(here)
            leaving.post("delete-user", {"password": PASSWORD})

            assert query_rows(auth, "SELECT user_id FROM tasks") == [(staying.id,)]
            for answer in all_operations(gone, path):
                problem(answer, "user_unknown")
            assert here.get("/api/tasks").json() == [kept]


def all_operations(client: httpx.Client, path: str) -> list[httpx.Response]:
    return [
        client.get("/api/tasks"),
        client.post("/api/tasks", json={"title": "again"}),
        client.get(path),
        client.put(path, json={"title": "again"}),
        client.patch(f"{path}/complete"),
        client.delete(path),
    ]
