"""A hundred users at once: nobody is refused, and everybody's list is exactly their own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import httpx

from support.api_server import Serve, token

USERS = 100
TASKS = 20


async def live(base: str, user: str) -> None:
    """Create, list, toggle, list, delete, list; by a connection of the user's own."""
    sent = {"Authorization": f"Bearer {token(user)}"}
    async with httpx.AsyncClient(base_url=base, headers=sent, timeout=60, verify=False) as client:

        async def ask(method: str, at: str, status: int, **more: object) -> httpx.Response:
            response = await client.request(method, at, json=more or None)
            assert response.status_code == status, response.text
            return response

        async def tasks() -> list[tuple[str, str, bool]]:
            listed = (await ask("GET", "/api/tasks", 200)).json()
            return [(task["user_id"], task["title"], task["completed"]) for task in listed]

        titles = [f"{n} of {user}" for n in range(TASKS)]
        made = [await ask("POST", "/api/tasks", 201, title=title) for title in titles]
        places = [response.headers["location"] for response in made]
        assert await tasks() == [(user, title, False) for title in titles[::-1]]
        for place in places:
            await ask("PATCH", f"{place}/complete", 200)
        assert await tasks() == [(user, title, True) for title in titles[::-1]]
        for place in places:
            await ask("DELETE", place, 204)
        assert await tasks() == []


async def test_a_hundred_users_at_once(serve: Serve, make_user: Callable[[], str]) -> None:
    users = [make_user() for _ in range(USERS)]
    # How fast the machine is must not decide: the bounds here are for a server that hangs.
    patient = {"TASKAPI_DEADLINE": "60", "TASKAPI_POOL_WAIT": "60"}
    with serve(**patient) as api:
        async with asyncio.timeout(300), asyncio.TaskGroup() as group:
            for user in users:
                group.create_task(live(api.base, user))
