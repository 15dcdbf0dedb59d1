"""Telemetry: none until an OpenTelemetry SDK is configured, and then what the page says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from api.jwks_server import JwksServer
from api.measured_server import PROGRAM, REQUESTS, TITLE
from api.tokens import BASE, jwk, key_signer
from support.api_server import SECRET, token
from support.page_blocks import section
from support.pgbouncer import SERVER_SETTINGS
from support.sql import run_sql
from taskcore import embedded
from taskcore.testing import database

PAGE = (Path(__file__).parents[2] / "packages" / "taskapi" / "README.md").read_text()
# Its name is searched in what is measured.
USER = "user_of_the_measured_server"
TASKS = ("create_task", "get_task", "list_tasks", "toggle_task", "update_task", "delete_task")

Json = dict[str, Any]


def report(url: str, jwks: JwksServer, how: str, **variables: str) -> Json:
    """What the server prints; its database is a test's own, because the server spoils it."""
    run_sql(url, f"INSERT INTO users (id) VALUES ('{USER}')")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("OTEL_")},
        "DATABASE_URL": url,
        "BETTER_AUTH_SECRET": SECRET,
        "BETTER_AUTH_URL": BASE,
        "JWKS_URL": jwks.url,
        "TASKAPI_POOL_SIZE": "3",
        **SERVER_SETTINGS,
        "PYTHONPATH": os.pathsep.join(sys.path),
        **variables,
    }
    good, expired = key_signer().token(USER), token(USER, lifetime=-600)
    done = subprocess.run(
        [sys.executable, *PROGRAM, how, f"Bearer {good}", f"Bearer {expired}"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: Json = json.loads(done.stdout)
    assert found["statuses"] == [sent.status for sent in REQUESTS]
    return found


@pytest.fixture(scope="module")
def measured_url(postgres: embedded.Server, migrated: str) -> Iterator[str]:
    with database(postgres, migrated) as url:
        yield url


@pytest.fixture(scope="module")
def measured(measured_url: str) -> Iterator[Json]:
    """What one server has measured."""
    with closing(JwksServer([jwk("EdDSA"), jwk("ES256")])) as keys:
        yield report(measured_url, keys, "measured")


# --- without an SDK -------------------------------------------------------------------------------


def assert_nothing_is_observed(found: Json) -> None:
    assert found["observed"] is False
    # The path that no route has, and the health endpoint.
    fastapi = [sent for sent in REQUESTS if sent.path.startswith(("/nowhere", "/health"))]
    wrong_method = [sent for sent in REQUESTS if sent.status == 405]
    assert found["direct"] == len(REQUESTS) - len(fastapi) - len(wrong_method)


def test_without_an_sdk_nothing_is_observed(own_url: str, jwks_server: JwksServer) -> None:
    found = report(own_url, jwks_server, "plain")
    assert_nothing_is_observed(found)
    assert found["sdk"] is False
    assert found["recording"] is False
    assert [name for name in found["threads"] if "otel" in name.lower()] == []


def test_with_the_sdk_disabled_nothing_is_observed(own_url: str, jwks_server: JwksServer) -> None:
    found = report(own_url, jwks_server, "measured", OTEL_SDK_DISABLED="true")
    assert_nothing_is_observed(found)
    assert found["spans"] == []


def test_with_an_sdk_everything_goes_through_fastapi(measured: Json) -> None:
    """The control of the two tests before."""
    assert (measured["observed"], measured["sdk"], measured["direct"]) == (True, True, 0)


def test_an_sdk_may_come_between_the_making_of_the_application_and_its_start(
    own_url: str, jwks_server: JwksServer
) -> None:
    found = report(own_url, jwks_server, "late")
    assert (found["observed"], found["direct"]) == (True, 0)
    assert len(operations(found, "list_tasks")) == 2
    assert found["metrics"].keys() == table_of_metrics().keys()


# --- spans ----------------------------------------------------------------------------------------


def operations(found: Json, name: str) -> list[Json]:
    """The spans of this operation, in the order in which they ended."""
    return [span for span in found["spans"] if span["attributes"].get("db.operation.name") == name]


def test_each_operation_has_a_span_below_that_of_its_request(measured: Json) -> None:
    by_id = {span["context"]["span_id"]: span for span in measured["spans"]}
    routes = {
        "create_task": "POST /api/tasks",
        "get_task": "GET /api/tasks/{id}",
        "list_tasks": "GET /api/tasks",
        "toggle_task": "PATCH /api/tasks/{id}/complete",
        "update_task": "PUT /api/tasks/{id}",
        "delete_task": "DELETE /api/tasks/{id}",
        "database_revision": "GET /health/ready",
        "cluster_nodes": "GET /health/ready",
    }
    for name, route in routes.items():
        spans = operations(measured, name)
        assert spans, name
        for found in spans:
            assert found["name"] == (f"{name} tasks" if name in TASKS else name)
            assert found["kind"] == "SpanKind.CLIENT"
            span = found
            while span["parent_id"] is not None:  # FastAPI has one for an endpoint, too
                span = by_id[span["parent_id"]]
            assert span["name"] == route
    assert len(operations(measured, "list_tasks")) == 2
    assert len(operations(measured, "get_task")) == 2


def test_the_attributes_of_a_span_are_those_of_the_page(measured: Json, measured_url: str) -> None:
    (first,) = operations(measured, "create_task")
    host, port, name = re.search(r"@([^:]+):(\d+)/(\w+)", measured_url).groups()  # type: ignore[union-attr]
    attributes = first["attributes"]
    assert attributes.pop("taskcore.wait_time") >= 0
    assert attributes.pop("server.port") not in (None, int(port)), "that of the proxy"
    assert attributes == {
        "db.system.name": "postgresql",
        "db.namespace": f"{name}|public",
        "server.address": host,
        "db.operation.name": "create_task",
        "db.collection.name": "tasks",
        "db.query.summary": "create_task tasks",
        "taskcore.outcome": "ok",
        "taskcore.round_trips": 2,  # with the question before the first operation
        "taskcore.retries": 0,
    }
    table = section(PAGE, "Telemetry").partition("| metric |")[0]
    listed = {n for row in re.findall(r"^\| (`.*?) \|", table, re.M) for n in names(row)}
    seen = {
        key
        for span in measured["spans"]
        if "db.operation.name" in span["attributes"]
        for key in span["attributes"]
    } | {"taskcore.wait_time", "server.port"}
    assert seen == listed


def ends(found: Json, name: str) -> list[tuple[Any, ...]]:
    """Of each span of this operation: outcome, round trips, repetitions, error and status."""
    keys = ("taskcore.outcome", "taskcore.round_trips", "taskcore.retries", "error.type")
    return [
        (*(span["attributes"].get(key) for key in keys), span["status"]["status_code"])
        for span in operations(found, name)
    ]


def test_how_an_operation_ended_is_in_its_span(measured: Json) -> None:
    assert ends(measured, "list_tasks") == [
        ("ok", 2, 1, None, "UNSET"),  # the connection was cut
        ("fault", 1, 0, "42P01", "ERROR"),  # there was no table
    ]
    assert ends(measured, "toggle_task") == [
        ("ok", 1, 0, None, "UNSET"),
        ("outcome_unknown", 1, 0, "ConnectionLost", "ERROR"),
    ]
    assert ends(measured, "update_task") == [("miss", 2, 0, None, "UNSET")]
    assert ends(measured, "get_task") == [
        ("ok", 1, 0, None, "UNSET"),
        ("miss", 2, 0, None, "UNSET"),
    ]
    reasons = [span["attributes"].get("taskcore.miss.reason") for span in measured["spans"]]
    assert Counter(reasons) - Counter({None: len(reasons)}) == Counter(
        stale_version=1, task_not_found=1
    )


def test_nothing_that_is_measured_names_a_user_a_task_or_a_secret(
    measured: Json, measured_url: str
) -> None:
    password = re.search(r":([^:@/]+)@", measured_url)
    assert password is not None
    words = [USER, measured["task"], TITLE, SECRET, password[1], "eyJ", "REDACTED"]
    told = json.dumps([measured["spans"], measured["metrics"]])
    assert [word for word in words if word in told] == ["REDACTED"]
    paths = {span["attributes"].get("url.path") for span in measured["spans"]}
    assert paths == {None, "REDACTED", "/api/tasks", "/health/ready"}


# --- metrics --------------------------------------------------------------------------------------


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def table_of_metrics() -> dict[str, tuple[str, str, set[str]]]:
    """By the name: kind, unit and attributes, as the page has them."""
    rows = section(PAGE, "Telemetry").partition("| metric |")[2].partition("\n\n")[0]
    found = {}
    for row in rows.splitlines()[2:]:
        name, kind, unit, attributes, _ = (cell.strip() for cell in row.strip("|").split("|"))
        found[names(name)[0]] = (kind, names(unit)[0], set(names(attributes)))
    return found


def test_the_table_of_metrics_is_what_is_measured(measured: Json) -> None:
    seen = {
        name: (
            metric["kind"],
            metric["unit"],
            {key for point in metric["points"] for key in point["attributes"]},
        )
        for name, metric in measured["metrics"].items()
    }
    assert seen == table_of_metrics()


def values(found: Json, name: str, *keys: str) -> dict[Any, Any]:
    """The values of a metric, by the value of these attributes."""
    by_key: Counter[Any] = Counter()
    for point in found["metrics"][name]["points"]:
        attributes = [point["attributes"].get(key) for key in keys]
        by_key[attributes[0] if len(keys) == 1 else tuple(attributes)] += point["value"]
    return dict(by_key)


def test_the_metrics_count_what_was_sent(measured: Json) -> None:
    ended = values(
        measured, "db.client.operation.duration", "db.operation.name", "taskcore.outcome"
    )
    assert {end: number for end, number in ended.items() if end[0] in TASKS} == {
        ("create_task", "ok"): 1,
        ("get_task", "ok"): 1,
        ("get_task", "miss"): 1,
        ("list_tasks", "ok"): 1,
        ("list_tasks", "fault"): 1,
        ("toggle_task", "ok"): 1,
        ("toggle_task", "outcome_unknown"): 1,
        ("update_task", "miss"): 1,
        ("delete_task", "ok"): 1,
    }
    waits = values(measured, "db.client.connection.wait_time", "db.client.connection.pool.name")
    assert waits["taskapi"] == 9
    assert waits["readiness"] >= 2
    reasons = ("db.operation.name", "reason")
    assert values(measured, "taskapi.operation.misses", *reasons) == {
        ("get_task", "task_not_found"): 1,
        ("update_task", "stale_version"): 1,
    }
    assert values(measured, "taskapi.operation.retries", *reasons) == {
        ("list_tasks", "connection_lost"): 1
    }
    assert values(measured, "taskapi.problems", "code") == {
        "token_missing": 2,
        "token_expired": 1,
        "stale_version": 1,
        "route_not_found": 1,
        "method_not_allowed": 1,
        "task_not_found": 1,
        "validation_failed": 1,
        "outcome_unknown": 1,
        "database_unavailable": 1,
    }
    assert values(measured, "taskapi.authentication.failures", "reason") == {
        "token_missing": 2,
        "token_expired": 1,
    }


def test_the_metrics_say_how_the_pool_and_the_keys_are(measured: Json) -> None:
    pool = "db.client.connection"
    by_state = values(measured, f"{pool}.count", f"{pool}.state")
    assert by_state["used"] == 0
    assert 1 <= by_state["idle"] <= 3
    assert values(measured, f"{pool}.max", f"{pool}.pool.name") == {"taskapi": 3}
    for name in (f"{pool}.pending_requests", f"{pool}.timeouts", "taskapi.connection.failures"):
        assert values(measured, name, f"{pool}.pool.name") == {"taskapi": 0}
    assert values(measured, "taskapi.keys.fetches", "result") == {"ok": 1}
    assert values(measured, "taskapi.keys.count", "") == {None: 2}
    assert 0 < values(measured, "taskapi.keys.age", "")[None] < 100
    assert values(measured, "taskapi.tokens.verified", "") == {None: 1}
    assert values(measured, "taskapi.tokens.remembered", "") == {None: 1}


def test_the_durations_have_the_bounds_of_the_conventions(measured: Json) -> None:
    points = measured["metrics"]["db.client.operation.duration"]["points"]
    bounds = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10]
    assert [point["bounds"] for point in points] == [bounds] * len(points)
