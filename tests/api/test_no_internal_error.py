"""Any input gets one of the answers of the contract, and never a 500."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import httpx
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from support.http_contract import problem

JSON = {"Content-Type": "application/json"}

# All examples use one user and one task, because none depends on what another has done.
searched = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])

_scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
_values: st.SearchStrategy[Any] = st.recursive(
    _scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5) | st.sampled_from(["title", "id"]), inner, max_size=3)
    ),
    max_leaves=5,
)
_bodies = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("title", "description", "completed", "more"), _values)
)
_header_values = st.binary(max_size=40).map(
    lambda raw: bytes(byte for byte in raw if byte >= 0x20 and byte != 0x7F).strip()
)
# The statuses that an arbitrary input may get, and their codes.
_CODES = {200: None, 201: None, 400: "invalid_json", 412: "stale_version", 422: "validation_failed"}


def assert_expected(response: httpx.Response) -> None:
    code = _CODES[response.status_code]
    if code is not None:
        problem(response, code)


@searched
@given(content=st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
@example(b"\xff\xfe{\0}\0")
def test_any_bytes_as_a_body_get_an_answer_of_the_contract(
    as_alice: httpx.Client, path: str, content: bytes
) -> None:
    for method, at in (("POST", "/api/tasks"), ("PUT", path), ("PATCH", f"{path}/complete")):
        assert_expected(as_alice.request(method, at, content=content, headers=JSON))


@searched
@given(body=_bodies)
@example({"title": float("inf")})
def test_any_json_as_a_body_gets_an_answer_of_the_contract(
    as_alice: httpx.Client, path: str, body: Any
) -> None:
    content = json.dumps(body)
    for method, at in (("POST", "/api/tasks"), ("PUT", path), ("PATCH", f"{path}/complete")):
        assert_expected(as_alice.request(method, at, content=content, headers=JSON))


@searched
@given(value=_header_values, quoted=st.booleans())
@example(b"fffffffffffffff", True)
@example(b"9" * 4_000, True)
def test_any_header_value_gets_an_answer_of_the_contract(
    as_alice: httpx.Client, path: str, value: bytes, quoted: bool
) -> None:
    sent = b'"' + value + b'"' if quoted else value
    assert_expected(as_alice.put(path, json={"title": "t"}, headers=[(b"If-Match", sent)]))
    for at in (path, "/api/tasks"):
        response = as_alice.get(at, headers=[(b"If-None-Match", sent), (b"X-Request-ID", sent)])
        assert response.status_code in (200, 304)
    assert_expected(
        as_alice.post("/api/tasks", json={"title": "t"}, headers=[(b"Idempotency-Key", sent)])
    )


@searched
@given(text=st.text(min_size=1, max_size=20) | st.binary(min_size=1, max_size=20))
def test_any_text_in_the_place_of_an_id_is_a_404_or_422(
    as_alice: httpx.Client, text: str | bytes
) -> None:
    raw = text if isinstance(text, bytes) else text.encode(errors="replace")
    response = as_alice.get(f"/api/tasks/a{quote(raw, safe='')}")
    assert response.status_code in (404, 422)
    problem(response, "validation_failed" if response.status_code == 422 else "route_not_found")
