"""`If-Match`: a write changes the task only in a version that the header names."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from support.http_contract import Json, problem

Write = Callable[[httpx.Client, str, list[tuple[str, str]]], httpx.Response]

WRITES: dict[str, Write] = {
    "put": lambda client, at, sent: client.put(at, json={"title": "changed"}, headers=sent),
    "toggle": lambda client, at, sent: client.patch(f"{at}/complete", headers=sent),
    "set": lambda client, at, sent: client.patch(
        f"{at}/complete", json={"completed": True}, headers=sent
    ),
    "delete": lambda client, at, sent: client.delete(at, headers=sent),
}
# Each is one or several lines of the header; {} is the task's tag, {bare} the tag without quotes.
MATCHING: dict[str, list[str]] = {
    "itself": ["{}"],
    "any": ["*"],
    "first": ['{}, "other"'],
    "last": ['W/"other" , "other",{}'],
    "empty-elements": [",, {} ,"],
    "second-line": ['"other"', "{}"],
    "beside-weak": ["W/{0}, {0}"],
}
NOT_MATCHING: dict[str, list[str]] = {
    "other": ['"1"'],
    "weak": ["W/{}"],
    "weak-among-others": ['"1", W/{}, "2"'],
    "lowercase-weak": ["w/{}"],
    "unquoted": ["{bare}"],
    "empty": [""],
    "empty-tag": ['""'],
    "garbage": ["garbage"],
    "garbage-around": ["x{}y"],
    "half": ['"{bare}'],
    "zero-before": ['"0{bare}"'],
    "longer": ['"{bare}0"'],
    "within": ['"1,{bare}"'],
    "any-quoted": ['"*"'],
    "any-in-a-list": ['*, "1"'],
    "far-future": ['"fffffffffffffff"'],
    "far-future-short": ['"ffffffffffffff"'],
    "long": ['"' + "f" * 5_000 + '"'],
    "many": [", ".join(f'"{n:x}"' for n in range(1, 2_000))],
    "second-line": ['"1"', '"2"'],
    "not-hex": ['"xyz"'],
}


def lines(forms: list[str], tag: str) -> list[tuple[str, str]]:
    return [("If-Match", form.format(tag, bare=tag.strip('"'))) for form in forms]


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize("case", MATCHING)
def test_with_a_matching_etag_the_write_succeeds(
    case: str, name: str, as_alice: httpx.Client, path: str
) -> None:
    tag = as_alice.get(path).headers["etag"]
    response = WRITES[name](as_alice, path, lines(MATCHING[case], tag))
    assert response.status_code == (204 if name == "delete" else 200)


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize("case", NOT_MATCHING)
def test_with_any_other_etag_the_task_is_unchanged(
    case: str, name: str, as_alice: httpx.Client, task: Json, path: str
) -> None:
    tag = as_alice.get(path).headers["etag"]
    response = WRITES[name](as_alice, path, lines(NOT_MATCHING[case], tag))
    problem(response, "stale_version")
    assert as_alice.get(path).json() == task


@pytest.mark.parametrize("name", WRITES)
def test_the_etag_of_an_old_version_no_longer_matches(
    name: str, as_alice: httpx.Client, path: str
) -> None:
    old = as_alice.get(path).headers["etag"]
    new = as_alice.put(path, json={"title": "newer"}).headers["etag"]
    problem(WRITES[name](as_alice, path, [("If-Match", old)]), "stale_version")
    assert as_alice.get(path).json()["title"] == "newer"
    assert WRITES[name](as_alice, path, [("If-Match", new)]).is_success


def test_the_etag_of_an_answer_matches_in_the_next_write(as_alice: httpx.Client) -> None:
    response = as_alice.post("/api/tasks", json={"title": "t"})
    at = response.headers["location"]
    for name in ("put", "toggle", "set", "delete"):
        response = WRITES[name](as_alice, at, [("If-Match", response.headers["etag"])])
        assert response.is_success


def test_without_if_match_the_last_write_wins(as_alice: httpx.Client, path: str) -> None:
    for title in ("first", "second"):
        assert as_alice.put(path, json={"title": title}).status_code == 200
    assert as_alice.get(path).json()["title"] == "second"
