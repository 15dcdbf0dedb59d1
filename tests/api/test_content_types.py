"""The content type of a body must be JSON, in any spelling; any other is a 415."""

from __future__ import annotations

import httpx
import pytest

from support.http_contract import create, problem

JSON = [
    "application/json",
    "application/json; charset=utf-8",
    'application/json;charset="UTF-8"',
    "application/json ; odd=1",
    "APPLICATION/JSON",
    "Application/Json; Charset=UTF-8",
]
OTHER = [
    "text/plain",
    "text/json",
    "application/problem+json",
    "application/merge-patch+json",
    "application/jsonp",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/octet-stream",
    "text/plain; application/json",
    "application/json, text/plain",
    "application",
    "json",
    "*/*",
    "",
    ";",
]


def send(client: httpx.Client, path: str, content_type: str | None) -> list[httpx.Response]:
    headers = {} if content_type is None else {"Content-Type": content_type}
    body = b'{"title": "t", "completed": true}'
    return [
        client.request(method, at, content=body, headers=headers)
        for method, at in (("POST", "/api/tasks"), ("PUT", path), ("PATCH", f"{path}/complete"))
    ]


@pytest.mark.parametrize("content_type", JSON)
def test_a_json_content_type_is_accepted(
    content_type: str, as_alice: httpx.Client, path: str
) -> None:
    statuses = [response.status_code for response in send(as_alice, path, content_type)]
    assert statuses == [201, 200, 200]


@pytest.mark.parametrize("content_type", [*OTHER, None])
def test_any_other_content_type_is_refused(
    content_type: str | None, as_alice: httpx.Client, path: str
) -> None:
    before = as_alice.get(path).json()
    for response in send(as_alice, path, content_type):
        problem(response, "unsupported_media_type")
    assert as_alice.get("/api/tasks").json() == [before]


def test_without_a_body_the_content_type_is_ignored(as_alice: httpx.Client) -> None:
    at = f"/api/tasks/{create(as_alice)['id']}"
    for content_type in ("application/json", "text/plain"):
        headers = {"Content-Type": content_type}
        assert as_alice.get(at, headers=headers).status_code == 200
        assert as_alice.patch(f"{at}/complete", headers=headers).status_code == 200
    assert as_alice.delete(at, headers={"Content-Type": "text/plain"}).status_code == 204
