"""`Idempotency-Key`: creates with the same key make one task, also when they run at once."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from support.api_server import Api, token
from support.http_contract import fields

KEYS = ["k", "!", "~" * 255, "a-UUID_or.anything:else", '"quoted"', "a,b", "0"]
BAD_KEYS: dict[str, list[bytes]] = {
    "empty": [b""],
    "inner-space": [b"a b"],
    "inner-tab": [b"a\tb"],
    "too-long": [b"k" * 256],
    "not-ascii": ["schlüssel".encode()],
    "latin-1": [b"schl\xfcssel"],
    "two": [b"one", b"two"],
    "twice": [b"same", b"same"],
}


def post(client: httpx.Client, key: str | None, title: str = "t", **more: object) -> httpx.Response:
    headers = {} if key is None else {"Idempotency-Key": key}
    return client.post("/api/tasks", json={"title": title, **more}, headers=headers)


@pytest.mark.parametrize("key", KEYS)
def test_a_repetition_returns_the_existing_task(key: str, as_alice: httpx.Client) -> None:
    first = post(as_alice, key, "first")
    assert (first.status_code, "idempotency-replayed" in first.headers) == (201, False)
    again = post(as_alice, key, "second", completed=True)
    assert (again.status_code, again.headers["idempotency-replayed"]) == (201, "true")
    assert again.json() == first.json()
    for name in ("location", "etag"):
        assert again.headers[name] == first.headers[name]
    assert as_alice.get("/api/tasks").json() == [first.json()]


def test_without_a_key_each_create_makes_a_task(as_alice: httpx.Client) -> None:
    """The control."""
    made = [post(as_alice, None).json() for _ in range(2)]
    assert as_alice.get("/api/tasks").json() == made[::-1]


def test_a_repetition_returns_the_task_as_it_is_now(as_alice: httpx.Client) -> None:
    at = post(as_alice, "k").headers["location"]
    changed = as_alice.put(at, json={"title": "changed"})
    again = post(as_alice, "k")
    assert again.json() == changed.json()
    assert again.headers["etag"] == changed.headers["etag"]


def test_other_keys_make_other_tasks(as_alice: httpx.Client) -> None:
    ids = [post(as_alice, key).json()["id"] for key in ("k", "K", "k1")]
    assert len(set(ids)) == 3


def test_the_same_key_of_two_users_makes_two_tasks(
    as_alice: httpx.Client, as_bob: httpx.Client
) -> None:
    hers, his = post(as_alice, "k", "hers"), post(as_bob, "k", "his")
    assert "idempotency-replayed" not in his.headers
    assert hers.json()["id"] != his.json()["id"]
    assert as_bob.get(hers.headers["location"]).status_code == 403
    assert [task["title"] for task in as_bob.get("/api/tasks").json()] == ["his"]


def test_deleting_the_task_frees_its_key(as_alice: httpx.Client) -> None:
    first = post(as_alice, "k", "first")
    as_alice.delete(first.headers["location"])
    second = post(as_alice, "k", "second")
    assert "idempotency-replayed" not in second.headers
    assert second.json()["title"] == "second"
    assert as_alice.get("/api/tasks").json() == [second.json()]


@pytest.mark.parametrize("case", BAD_KEYS)
def test_a_bad_key_is_a_422_and_makes_no_task(case: str, as_alice: httpx.Client) -> None:
    headers = [(b"Idempotency-Key", key) for key in BAD_KEYS[case]]
    response = as_alice.post("/api/tasks", json={"title": "t"}, headers=headers)
    assert fields(response) == ["header.Idempotency-Key"]
    assert as_alice.get("/api/tasks").json() == []


def test_a_refused_create_does_not_use_its_key(as_alice: httpx.Client) -> None:
    assert fields(post(as_alice, "k", " ")) == ["title"]
    assert post(as_alice, "k", "good").json()["title"] == "good"


async def test_twenty_creates_at_once_make_one_task(api: Api, alice: str) -> None:
    headers = {"Authorization": f"Bearer {token(alice)}", "Idempotency-Key": "k"}
    barrier = asyncio.Barrier(20)
    async with httpx.AsyncClient(base_url=api.base, headers=headers, timeout=30) as client:

        async def send(number: int) -> httpx.Response:
            await barrier.wait()
            return await client.post("/api/tasks", json={"title": f"title {number}"})

        responses = await asyncio.gather(*(send(number) for number in range(20)))
        tasks = (await client.get("/api/tasks")).json()
    assert [response.status_code for response in responses] == [201] * 20
    assert [response.json() for response in responses] == tasks * 20
    replayed = [response.headers.get("idempotency-replayed") for response in responses]
    assert (replayed.count(None), replayed.count("true")) == (1, 19)
