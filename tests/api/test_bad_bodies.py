"""A body that is not JSON is a 400, JSON of the wrong type is a 422; neither is a 500."""

from __future__ import annotations

import json

import httpx
import pytest

from support.http_contract import Json, problem

JSON = {"Content-Type": "application/json"}

NOT_JSON: dict[str, bytes] = {
    "syntax": b'{"title": }',
    "unfinished": b'{"title": "t"',
    "more": b'{"title": "t"} {}',
    "comma": b'{"title": "t",}',
    "single-quotes": b"{'title': 't'}",
    "comment": b'{"title": "t"} // done',
    "control-character": b'{"title": "a\nb"}',
    "bad-escape": rb'{"title": "\x"}',
    "python": b'{"title": "t", "completed": True}',
    "leading-zero": b'{"title": "t", "more": 01}',
    "white-space": b" \t\r\n",
    "nan": b'{"title": NaN}',
    "nan-unknown": b'{"title": "t", "more": NaN}',
    "infinity": b'{"title": "t", "more": Infinity}',
    "minus-infinity": b'{"title": "t", "more": [-Infinity]}',
    "bom": b'\xef\xbb\xbf{"title": "t"}',
    "utf-16": '{"title": "t"}'.encode("utf-16"),
    "utf-16-le": '{"title": "t"}'.encode("utf-16-le"),
    "utf-32": '{"title": "t"}'.encode("utf-32"),
    "latin-1": '{"title": "tâche"}'.encode("latin-1"),
    "utf-8-surrogate": b'{"title": "\xed\xa0\x80"}',
    "utf-8-overlong": b'{"title": "\xc0\x80"}',
    "utf-8-unfinished": b'{"title": "\xf0\x9f\xa5"}',
    "nul": b'{"title": "t"}\0',
    "gzip": b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03",
    "form": b"title=t&completed=true",
    "deep-arrays": b"[" * 100_000 + b"]" * 100_000,
    "deep-objects": b'{"a":' * 40_000 + b"1" + b"}" * 40_000,
    "deep-unknown": b'{"title": "t", "more": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep-unfinished": b"[" * 200_000,
}
INVALID: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "body"),
    "null": (b"null", "body"),
    "array": (b'[{"title": "t"}]', "body"),
    "string": (b'"title"', "body"),
    "number": (b"1", "body"),
    "long-integer": (b"9" * 5_000, "body"),
    "true": (b"true", "body"),
    "long-integer-title": (b'{"title": ' + b"9" * 5_000 + b"}", "title"),
    "large-float-title": (b'{"title": 1e400}', "title"),
    "large-float-done": (b'{"title": "t", "completed": 1e400}', "completed"),
    "long-integer-done": (b'{"title": "t", "completed": ' + b"1" * 5_000 + b"}", "completed"),
    "surrogate": (rb'{"title": "\ud800"}', "title"),
    "nul-escape": (rb'{"title": "\u0000"}', "title"),
}


@pytest.mark.parametrize("case", NOT_JSON)
def test_a_body_that_is_not_json_is_a_400(
    case: str, as_alice: httpx.Client, task: Json, path: str
) -> None:
    content = NOT_JSON[case]
    problem(as_alice.post("/api/tasks", content=content, headers=JSON), "invalid_json")
    problem(as_alice.put(path, content=content, headers=JSON), "invalid_json")
    problem(as_alice.patch(f"{path}/complete", content=content, headers=JSON), "invalid_json")
    assert as_alice.get("/api/tasks").json() == [task]


@pytest.mark.parametrize("case", INVALID)
def test_json_of_the_wrong_type_is_a_422(
    case: str, as_alice: httpx.Client, task: Json, path: str
) -> None:
    content, field = INVALID[case]
    for method, at in (("POST", "/api/tasks"), ("PUT", path)):
        response = as_alice.request(method, at, content=content, headers=JSON)
        (error,) = problem(response, "validation_failed")["errors"]
        assert error["field"] == field
    assert as_alice.get("/api/tasks").json() == [task]


GOOD: dict[str, bytes] = {
    "plain": b'{"title": "t"}',
    "spaced": b' \r\n\t{ "title" : "t" } \n',
    "escaped": rb'{"\u0074itle": "\u0074"}',
    "last-duplicate": b'{"title": 1, "title": "first", "title": "t"}',
    "some-depth": b'{"title": "t", "more": ' + b"[" * 100 + b"]" * 100 + b"}",
    "utf-8": '{"title": "t", "more": "🥛"}'.encode(),
}


@pytest.mark.parametrize("case", GOOD)
def test_valid_json_is_accepted(case: str, as_alice: httpx.Client) -> None:
    """The control: each of these bodies is a create with the same title."""
    response = as_alice.post("/api/tasks", content=GOOD[case], headers=JSON)
    assert (response.status_code, response.json()["title"]) == (201, "t")


def test_ten_thousand_escaped_emoji_are_within_the_limit(as_alice: httpx.Client) -> None:
    content = json.dumps({"title": "t", "description": "🥛" * 10_000}, ensure_ascii=True)
    assert len(content) > 10_000 * 12
    response = as_alice.post("/api/tasks", content=content, headers=JSON)
    assert (response.status_code, response.json()["description"]) == (201, "🥛" * 10_000)
