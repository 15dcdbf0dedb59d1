"""A hundred users at once: no request is refused, and each list has its user's tasks only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import httpx
import pytest

from support.api_server import Serve, token

pytestmark = pytest.mark.long

USERS = 100
TASKS = 20


async def work(base: str, user: str) -> None:
    """Create, list, toggle, list, delete, list; on a connection of the user's own."""
    sent = {"Authorization": f"Bearer {token(user)}"}
    async with httpx.AsyncClient(base_url=base, headers=sent, timeout=60, verify=False) as client:

        async def send(method: str, at: str, status: int, **more: object) -> httpx.Response:
            response = await client.request(method, at, json=more or None)
            assert response.status_code == status, response.text
            return response

        async def tasks() -> list[tuple[str, str, bool]]:
            listed = (await send("GET", "/api/tasks", 200)).json()
            return [(task["user_id"], task["title"], task["completed"]) for task in listed]

        titles = [f"{n} of {user}" for n in range(TASKS)]
        made = [await send("POST", "/api/tasks", 201, title=title) for title in titles]
        paths = [response.headers["location"] for response in made]
        assert await tasks() == [(user, title, False) for title in titles[::-1]]
        for path in paths:
            await send("PATCH", f"{path}/complete", 200)
        assert await tasks() == [(user, title, True) for title in titles[::-1]]
        for path in paths:
            await send("DELETE", path, 204)
        assert await tasks() == []


async def test_a_hundred_users_at_once_get_only_their_own_tasks(
    serve: Serve, make_user: Callable[[], str]
) -> None:
    users = [make_user() for _ in range(USERS)]
    # Long limits, because a slow machine must not fail the test; only a server that hangs does.
    long_limits = {"TASKAPI_DEADLINE": "60", "TASKAPI_POOL_WAIT": "60"}
    with serve(**long_limits) as api:
        async with asyncio.timeout(300), asyncio.TaskGroup() as group:
            for user in users:
                group.create_task(work(api.base, user))
