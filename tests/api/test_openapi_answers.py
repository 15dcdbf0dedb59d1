"""The document declares each status of the contract, with its headers, its codes and one format."""

from __future__ import annotations

import pytest

from api.openapi_document import operations
from api.test_openapi import EVERYWHERE
from support.http_contract import MEMBERS, STATUS, Json

BODY = {400, 413, 415, 422}
ONE = {403, 404, 422}
ALWAYS = {401, 500, 503}
STATUSES = {
    "list_tasks": {200, 304} | ALWAYS,
    "create_task": {201} | BODY | ALWAYS,
    "get_task": {200, 304} | ONE | ALWAYS,
    "update_task": {200, 412} | ONE | BODY | ALWAYS,
    "delete_task": {204, 412} | ONE | ALWAYS,
    "complete_task": {200, 412} | ONE | BODY | ALWAYS,
    "is_live": {200, 500},
    "is_ready": {200, 500, 503},
}
HEADERS = {
    200: {"ETag"},
    201: {"ETag", "Location", "Idempotency-Replayed"},
    304: {"ETag"},
    401: {"WWW-Authenticate"},
    503: {"Retry-After"},
}
# Readiness has a code of its own, which no task endpoint uses.
CODES = {**STATUS, "not_ready": 503}
# After a broken connection these may have the outcome unknown.
WRITES = {"create_task", "update_task", "delete_task", "complete_task"}

every_operation = pytest.mark.parametrize("name", STATUSES)


@pytest.fixture
def responses(document: Json, name: str) -> dict[int, Json]:
    _, _, operation = operations(document)[name]
    return {int(status): response for status, response in operation["responses"].items()}


def codes(response: Json) -> list[str]:
    """Return the codes of which an error answer has examples."""
    return list(response["content"]["application/problem+json"]["examples"])


@every_operation
def test_every_status_is_declared(name: str, responses: dict[int, Json]) -> None:
    assert set(responses) == STATUSES[name]


@every_operation
def test_every_header_is_declared(name: str, responses: dict[int, Json]) -> None:
    for status, response in responses.items():
        if name.startswith("is_") and status == 200:
            wanted = {"X-Request-ID", "Cache-Control"}
        else:
            wanted = {"X-Request-ID", "Cache-Control", "Vary", *HEADERS.get(status, ())}
        assert set(response["headers"]) == wanted
        for header in wanted:
            assert response["headers"][header] == {"$ref": f"#/components/headers/{header}"}


def test_a_header_that_is_always_sent_is_declared_as_required(document: Json) -> None:
    headers = document["components"]["headers"]
    assert [name for name in headers if not headers[name]["required"]] == ["Idempotency-Replayed"]


@every_operation
def test_every_error_is_declared_as_a_problem(name: str, responses: dict[int, Json]) -> None:
    for status, response in responses.items():
        if status >= 400:
            [(media_type, content)] = response["content"].items()
            assert media_type == "application/problem+json"
            assert content["schema"] == {"$ref": "#/components/schemas/Problem"}
            assert {CODES[code] for code in codes(response)} == {status}
    if 503 in responses:
        assert ("outcome_unknown" in codes(responses[503])) == (name in WRITES)


def test_every_code_is_in_the_schema_and_has_a_complete_example(document: Json) -> None:
    components = document["components"]
    assert set(components["schemas"]["Problem"]["properties"]["code"]["enum"]) == set(CODES)
    assert set(components["examples"]) == set(CODES)
    more = {"validation_failed": ["errors"], "not_ready": ["checks"]}
    for code, status in CODES.items():
        example = components["examples"][code]["value"]
        assert (example["code"], example["status"]) == (code, status)
        assert list(example) == MEMBERS + more.get(code, [])


def test_every_code_is_declared_by_an_operation(document: Json) -> None:
    declared = {
        code
        for _, _, operation in operations(document).values()
        for status, response in operation["responses"].items()
        if int(status) >= 400
        for code in codes(response)
    }
    assert declared == set(CODES) - EVERYWHERE


def test_request_headers_are_declared(document: Json) -> None:
    taken = {
        name: {p["name"] for p in operation["parameters"] if p["in"] == "header"}
        for name, (_, path, operation) in operations(document).items()
        if path.startswith("/api")
    }
    assert taken == {
        "list_tasks": {"If-None-Match"},
        "create_task": {"Idempotency-Key"},
        "get_task": {"If-None-Match"},
        "update_task": {"If-Match"},
        "delete_task": {"If-Match"},
        "complete_task": {"If-Match"},
    }
    for item in document["paths"].values():
        assert item["parameters"] == [{"$ref": "#/components/parameters/X-Request-ID"}]
