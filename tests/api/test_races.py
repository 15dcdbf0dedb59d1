"""Requests at once: one succeeds where only one can, and no change is lost where all can."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine

import httpx
import pytest

from support.api_server import Api, token
from support.http_contract import problem

AT_ONCE = 20

Send = Callable[[], Coroutine[None, None, httpx.Response]]


@pytest.fixture
async def many(api: Api, alice: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of Alice's with as many connections as there are requests."""
    async with httpx.AsyncClient(
        base_url=api.base, headers={"Authorization": f"Bearer {token(alice)}"}, timeout=30
    ) as client:
        yield client


async def together(*sends: Send) -> list[httpx.Response]:
    """Send all of them at once: each waits until the last is ready."""
    barrier = asyncio.Barrier(len(sends))

    async def run(send: Send) -> httpx.Response:
        await barrier.wait()
        return await send()

    return await asyncio.gather(*(run(send) for send in sends))


def statuses(responses: list[httpx.Response]) -> Counter[int]:
    return Counter(response.status_code for response in responses)


async def test_one_of_many_writes_to_one_version_succeeds(many: httpx.AsyncClient) -> None:
    made = await many.post("/api/tasks", json={"title": "t"})
    at, seen = made.headers["location"], {"If-Match": made.headers["etag"]}

    def put(title: str) -> Send:
        return lambda: many.put(at, json={"title": title}, headers=seen)

    responses = await together(*(put(f"title {n}") for n in range(AT_ONCE)))
    assert statuses(responses) == {200: 1, 412: AT_ONCE - 1}
    success = next(response for response in responses if response.status_code == 200)
    assert (await many.get(at)).json() == success.json()
    for response in responses:
        if response is not success:
            problem(response, "stale_version")


async def test_one_of_many_deletes_of_one_version_succeeds(many: httpx.AsyncClient) -> None:
    made = await many.post("/api/tasks", json={"title": "t"})
    at, seen = made.headers["location"], {"If-Match": made.headers["etag"]}
    responses = await together(*[lambda: many.delete(at, headers=seen)] * AT_ONCE)
    assert statuses(responses) == {204: 1, 404: AT_ONCE - 1}


async def test_without_a_version_all_writes_succeed(many: httpx.AsyncClient) -> None:
    """The control: the same race without `If-Match`."""
    at = (await many.post("/api/tasks", json={"title": "t"})).headers["location"]

    def put(title: str) -> Send:
        return lambda: many.put(at, json={"title": title})

    responses = await together(*(put(f"title {n}") for n in range(AT_ONCE)))
    assert statuses(responses) == {200: AT_ONCE}
    assert len({response.headers["etag"] for response in responses}) == AT_ONCE
    last = max(responses, key=lambda response: str(response.json()["updated_at"]))
    assert (await many.get(at)).json() == last.json()


@pytest.mark.parametrize("times", [AT_ONCE, AT_ONCE + 1])
async def test_no_toggle_is_lost(times: int, many: httpx.AsyncClient) -> None:
    at = (await many.post("/api/tasks", json={"title": "t"})).headers["location"]
    responses = await together(*[lambda: many.patch(f"{at}/complete")] * times)
    assert statuses(responses) == {200: times}
    seen = Counter(response.json()["completed"] for response in responses)
    assert seen == {True: (times + 1) // 2, False: times // 2}
    assert (await many.get(at)).json()["completed"] is bool(times % 2)


async def test_updates_of_different_fields_do_not_undo_each_other(many: httpx.AsyncClient) -> None:
    at = (await many.post("/api/tasks", json={"title": "t"})).headers["location"]
    responses = await together(
        lambda: many.put(at, json={"title": "changed"}),
        lambda: many.put(at, json={"description": "changed"}),
        lambda: many.put(at, json={"completed": True}),
    )
    assert statuses(responses) == {200: 3}
    task = (await many.get(at)).json()
    assert (task["title"], task["description"], task["completed"]) == ("changed", "changed", True)
