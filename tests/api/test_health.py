"""Liveness needs the process only; readiness names which of database and schema is missing."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import psycopg
import pytest

from support.api_server import Api, Serve
from support.polling import wait_until
from taskcore import migrations

ALL_OK = {"database": "ok", "schema": "ok"}


@pytest.fixture
def own_api(serve: Serve, own_url: str) -> Iterator[Api]:
    with serve(own_url) as api:
        yield api


def answered(client: httpx.Client, status: int, checks: dict[str, str]) -> httpx.Response:
    """Readiness, once it says this: an answer is remembered for a second."""
    found: list[httpx.Response] = []

    def says_so() -> bool:
        found.append(client.get("/health/ready"))
        return (found[-1].status_code, found[-1].json()["checks"]) == (status, checks)

    wait_until(says_so, f"readiness with {status} and {checks}", timeout=10)
    return found[-1]


def not_ready(client: httpx.Client, **checks: str) -> None:
    response = answered(client, 503, {**ALL_OK, **checks})
    document = response.json()
    assert (response.status_code, document["code"]) == (503, "not_ready")
    assert response.headers["content-type"] == "application/problem+json"
    assert int(response.headers["retry-after"]) >= 1
    assert document["request_id"] == response.headers["x-request-id"]


def ready(client: httpx.Client) -> None:
    response = answered(client, 200, ALL_OK)
    assert response.json() == {"status": "ok", "checks": ALL_OK}
    assert response.headers["cache-control"] == "no-store"


def test_a_process_that_answers_is_alive(api: Api) -> None:
    with api.client() as client:
        response = client.get("/health/live")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})
    assert response.headers["cache-control"] == "no-store"


def test_a_process_with_database_and_schema_is_ready(api: Api) -> None:
    with api.client() as client:
        ready(client)


def test_without_its_database_it_is_alive_and_not_ready(serve: Serve) -> None:
    with serve("postgresql://postgres@127.0.0.1:1/none") as api, api.client() as client:
        not_ready(client, database="unavailable", schema="unknown")
        assert client.get("/health/live").status_code == 200


def test_a_missing_schema_is_reported(own_api: Api, own_url: str) -> None:
    with own_api.client() as client, psycopg.connect(own_url, autocommit=True) as admin:
        admin.execute("ALTER TABLE taskcore_version RENAME TO away")
        not_ready(client, schema="missing")
        admin.execute("ALTER TABLE away RENAME TO taskcore_version")
        ready(client)


@pytest.mark.parametrize("revision", ["0001", "base"])
def test_a_schema_behind_the_code_is_reported(revision: str, own_api: Api, own_url: str) -> None:
    with own_api.client() as client:
        ready(client)
        migrations.downgrade(own_url, revision)
        not_ready(client, schema="behind")
        migrations.upgrade(own_url)
        ready(client)


def test_an_old_or_missing_revision_in_the_version_table_is_behind(
    own_api: Api, own_url: str
) -> None:
    with own_api.client() as client, psycopg.connect(own_url, autocommit=True) as admin:
        admin.execute("UPDATE taskcore_version SET version_num = '0001'")
        not_ready(client, schema="behind")
        admin.execute("DELETE FROM taskcore_version")
        not_ready(client, schema="behind")


def test_a_schema_newer_than_the_code_is_ready(own_api: Api, own_url: str) -> None:
    with own_api.client() as client, psycopg.connect(own_url, autocommit=True) as admin:
        admin.execute("UPDATE taskcore_version SET version_num = '9999'")
        ready(client)


def test_health_needs_no_token_and_ignores_a_bad_one(api: Api) -> None:
    with api.client(Authorization="Bearer x") as client:
        assert client.get("/health/live").status_code == 200
        assert client.get("/health/ready").status_code == 200
        assert client.get("/api/tasks").status_code == 401
