"""ETags are strong: one for each version of a task, and one for each content of a list."""

from __future__ import annotations

import re
from collections.abc import Callable

import httpx
import pytest

from support.http_contract import Json, create, varies_by

Write = Callable[[], httpx.Response]

STRONG = re.compile(r'"[!#-~]+"')


def etag(response: httpx.Response) -> str:
    tag: str = response.headers["etag"]
    assert STRONG.fullmatch(tag)
    return tag


def test_an_answer_with_one_task_has_the_etag_of_its_version(as_alice: httpx.Client) -> None:
    made = as_alice.post("/api/tasks", json={"title": "t"})
    at = made.headers["location"]
    tags = [etag(made)]
    assert etag(as_alice.get(at)) == etag(as_alice.head(at)) == tags[0]
    writes: list[Write] = [
        lambda: as_alice.put(at, json={"title": "t"}),  # the same title, and yet a new version
        lambda: as_alice.put(at, json={"title": "u"}),
        lambda: as_alice.patch(f"{at}/complete"),
        lambda: as_alice.patch(f"{at}/complete", json={"completed": True}),
        lambda: as_alice.patch(f"{at}/complete", json={"completed": True}),
    ]
    for write in writes:
        tags.append(etag(write()))
        assert etag(as_alice.get(at)) == tags[-1]
    assert len(set(tags)) == len(tags)


def test_the_etag_of_a_list_changes_with_its_content(as_alice: httpx.Client) -> None:
    tags = [etag(as_alice.get("/api/tasks"))]
    first = create(as_alice)
    tags.append(etag(as_alice.get("/api/tasks")))
    second = create(as_alice)
    writes: list[Write] = [
        lambda: as_alice.put(f"/api/tasks/{first['id']}", json={"description": "oat"}),
        lambda: as_alice.patch(f"/api/tasks/{second['id']}/complete"),
        lambda: as_alice.delete(f"/api/tasks/{second['id']}"),
    ]
    for write in writes:
        tags.append(etag(as_alice.get("/api/tasks")))
        assert write().is_success
    tags.append(etag(as_alice.get("/api/tasks")))
    assert len(set(tags)) == len(tags)


def test_the_etag_of_an_unchanged_list_stays(
    as_alice: httpx.Client, as_bob: httpx.Client, task: Json, path: str
) -> None:
    before = as_alice.get("/api/tasks")
    create(as_bob)
    assert as_alice.put(path, json={"title": ""}).status_code == 422
    assert as_bob.delete(path).status_code == 403
    assert as_alice.get(path).json() == task
    after = as_alice.get("/api/tasks")
    assert (etag(after), after.content) == (etag(before), before.content)
    assert etag(as_alice.head("/api/tasks")) == etag(before)


def test_a_list_that_is_empty_again_has_its_old_etag(as_alice: httpx.Client) -> None:
    before = etag(as_alice.get("/api/tasks"))
    as_alice.delete(f"/api/tasks/{create(as_alice)['id']}")
    assert etag(as_alice.get("/api/tasks")) == before


KNOWN = {
    "itself": "{}",
    "weak": "W/{}",
    "in-a-list": '"other", {}, W/"third"',
    "last": '"other",{}',
    "any": "*",
}
UNKNOWN = {
    "other": '"other"',
    "unquoted": "{bare}",
    "empty": "",
    "garbage": "??",
    "lowercase-weak": "w/{}",
    "list-of-others": '"a", W/"b", "c"',
    "half": '"{bare}',
    "longer": '"{bare}0"',
    "within": '"x{bare}"',
}


def named(form: str, tag: str) -> dict[str, str]:
    return {"If-None-Match": form.format(tag, bare=tag.strip('"'))}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("case", KNOWN)
def test_a_known_etag_is_a_304(case: str, method: str, as_alice: httpx.Client, path: str) -> None:
    for at in (path, "/api/tasks"):
        tag = etag(as_alice.get(at))
        response = as_alice.request(method, at, headers=named(KNOWN[case], tag))
        assert (response.status_code, response.content) == (304, b"")
        assert etag(response) == tag
        assert response.headers["cache-control"] == "private, no-cache"
        assert varies_by(response) == ["Authorization", "Origin"]
        assert "content-type" not in response.headers


@pytest.mark.parametrize("case", UNKNOWN)
def test_with_an_unknown_etag_the_content_is_sent(
    case: str, as_alice: httpx.Client, path: str
) -> None:
    for at in (path, "/api/tasks"):
        plain = as_alice.get(at)
        response = as_alice.get(at, headers=named(UNKNOWN[case], etag(plain)))
        assert (response.status_code, response.content) == (200, plain.content)


def test_the_header_may_have_several_lines(as_alice: httpx.Client, path: str) -> None:
    tag = etag(as_alice.get(path))
    lines = [("If-None-Match", '"other"'), ("If-None-Match", tag)]
    assert as_alice.get(path, headers=lines).status_code == 304
    assert as_alice.get(path, headers=lines[:1]).status_code == 200


def test_with_an_old_etag_the_new_content_is_sent(as_alice: httpx.Client, path: str) -> None:
    old = {at: etag(as_alice.get(at)) for at in (path, "/api/tasks")}
    as_alice.put(path, json={"title": "changed"})
    for at, tag in old.items():
        response = as_alice.get(at, headers={"If-None-Match": tag})
        assert (response.status_code, "changed" in response.text) == (200, True)


def test_with_another_users_etag_the_answer_is_403(
    as_alice: httpx.Client, as_bob: httpx.Client, path: str
) -> None:
    tag = etag(as_alice.get(path))
    assert as_bob.get(path, headers={"If-None-Match": tag}).status_code == 403
    assert as_bob.get(path, headers={"If-None-Match": "*"}).status_code == 403
    assert as_alice.get(path, headers={"If-None-Match": tag}).status_code == 304
