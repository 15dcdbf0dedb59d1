"""Many clients on few connections: nobody sees another's row, not even without the predicate.

Row-level security has to be bound anew for each operation. The control binds it as one would
without a thought for the pool, once for each client, and is seen to leak.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any, TypeAlias
from uuid import UUID

import pytest
from hypothesis import settings
from sqlalchemy import text

from support.pgbouncer import DATABASE_OPTIONS
from taskcore import (
    AsyncDatabase,
    Database,
    NotTaskOwner,
    Op,
    OperationRefused,
    TaskCreate,
    create_task,
    delete_task,
    get_task,
    list_tasks,
    toggle_task,
)
from taskcore.execution import wire
from taskcore.execution.op import Row, Statement, rows
from taskcore.tenancy import TENANT_ROLE

# What a client asks for, and is sent: the result, or the miss.
Client: TypeAlias = Generator[Op[Any], Any, None]

CLIENTS = 32
POOL: dict[str, Any] = {"min_size": 4, "max_size": 4, "timeout": 60.0, **DATABASE_OPTIONS}
# With both locks and with one: together 20,000 operations of each driver.
TURNS = {"ci": 10_000 // CLIENTS + 1, "quick": 1_000 // CLIENTS + 1}
HITS: list[Callable[[str, UUID], Op[Any]]] = [get_task, toggle_task]
MISSES = [*HITS, delete_task]


def careful(owner: str, kept: UUID, foreign: UUID, seen: list[object]) -> Client:
    """One user's share; `seen` takes whatever is not as if nobody else were there."""
    chance = random.Random(owner)
    own = [kept]
    for turn in range(TURNS[settings.get_current_profile_name()]):
        if turn % 5 == 0:
            made = yield create_task(owner, TaskCreate(title=owner))
            own.append(made.id)
            seen += [made] * ((made.user_id, made.title) != (owner, owner))
        elif turn % 5 == 1:
            found = yield list_tasks(owner)
            seen += {task.id for task in found} ^ set(own)
            seen += [task for task in found if (task.user_id, task.title) != (owner, owner)]
        elif turn % 5 == 2:
            task = chance.choice(own)
            got = yield chance.choice(HITS)(owner, task)
            seen += [got] * ((got.user_id, got.title, got.id) != (owner, owner, task))
        elif turn % 5 == 3:
            miss = yield chance.choice(MISSES)(owner, foreign)
            seen += [miss] * (type(miss) is not NotTaskOwner)
        else:
            gone = yield delete_task(owner, own[-1])
            seen += [gone] * (gone != own.pop())


def careless(owner: str, kept: UUID, foreign: UUID, seen: list[object]) -> Client:
    """Binds once, for as long as its connection lasts, as if it were its own."""
    yield Op(owner, lambda owner: rows(_FOR_THE_SESSION, owner=owner), (), list[Row])
    for _ in range(10):
        found = yield list_tasks(owner)
        if isinstance(found, list):
            seen += [task for task in found if task.user_id != owner]


_FOR_THE_SESSION = Statement(
    text(
        f"SELECT pg_catalog.set_config('role', '{TENANT_ROLE}', false),"
        " pg_catalog.set_config('taskcore.user_id', CAST(:owner AS text), false)"
    )
)
_FOR_NOTHING = Statement(text("SELECT CAST(:owner AS text), CAST(:timeout AS text)"))


def in_threads(url: str, clients: list[Client]) -> int:
    start = Barrier(len(clients), timeout=60)

    def work(client: Client) -> int:
        start.wait()
        done, outcome = 0, None
        while (op := _next(client, outcome)) is not None:
            try:
                outcome = database.run(op)
            except OperationRefused as miss:
                outcome = miss
            done += 1
        return done

    with Database(url, **POOL) as database, ThreadPoolExecutor(len(clients)) as threads:
        return sum(threads.map(work, clients))


def in_tasks(url: str, clients: list[Client]) -> int:
    async def work(database: AsyncDatabase, client: Client) -> int:
        done, outcome = 0, None
        while (op := _next(client, outcome)) is not None:
            try:
                outcome = await database.run(op)
            except OperationRefused as miss:
                outcome = miss
            done += 1
        return done

    async def all_of_them() -> int:
        async with AsyncDatabase(url, **POOL) as database:
            return sum(await asyncio.gather(*(work(database, client) for client in clients)))

    return asyncio.run(all_of_them())


def _next(client: Client, outcome: Any) -> Op[Any] | None:
    try:
        return client.send(outcome)
    except StopIteration:
        return None


@pytest.fixture(params=[in_threads, in_tasks])
def together(request: pytest.FixtureRequest) -> Callable[[str, list[Client]], int]:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def tasks_by_owner(db: Database, make_user: Callable[[], str]) -> dict[str, UUID]:
    """Users with a task each."""
    owners = [make_user() for _ in range(CLIENTS)]
    return {owner: db.run(create_task(owner, TaskCreate(title=owner))).id for owner in owners}


def _clients(
    tasks_by_owner: dict[str, UUID], kind: Callable[..., Client]
) -> tuple[list[Client], list[object]]:
    seen: list[object] = []
    tasks = list(tasks_by_owner.values())
    foreign = [*tasks[1:], tasks[0]]
    return [
        kind(owner, kept, other, seen)
        for (owner, kept), other in zip(tasks_by_owner.items(), foreign, strict=True)
    ], seen


@pytest.mark.parametrize("locks", ["both locks", "row-level security alone"])
def test_nobody_sees_a_foreign_row_with(
    locks: str,
    together: Callable[[str, list[Client]], int],
    served_url: str,
    tasks_by_owner: dict[str, UUID],
    request: pytest.FixtureRequest,
) -> None:
    if locks != "both locks":
        request.getfixturevalue("predicate_off")
        request.getfixturevalue("owner_check_off")
    clients, seen = _clients(tasks_by_owner, careful)
    done = together(served_url, clients)
    assert seen == []
    assert done == CLIENTS * TURNS[settings.get_current_profile_name()]


@pytest.mark.usefixtures("predicate_off", "owner_check_off")
def test_row_level_security_that_is_bound_once_for_each_client_leaks(
    together: Callable[[str, list[Client]], int],
    served_url: str,
    tasks_by_owner: dict[str, UUID],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The control: the same pool, the same clients at once; a foreign row would be seen."""
    monkeypatch.setattr(wire, "BIND_OWNER", _FOR_NOTHING)
    clients, seen = _clients(tasks_by_owner, careless)
    together(served_url, clients)
    assert seen != []
