"""Many clients on few connections: none gets another owner's row, even without the first lock.

Each operation binds its owner anew. The control binds once for each client, as if the pool gave
every client its own connection; the test sees that it leaks.
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

# A client yields operations; it is sent the result of each one, or its miss.
Client: TypeAlias = Generator[Op[Any], Any, None]

CLIENTS = 32
POOL: dict[str, Any] = {"min_size": 4, "max_size": 4, "timeout": 60.0, **DATABASE_OPTIONS}
# With both locks and with one: 20,000 operations of each driver in all.
TURNS = {"ci": 10_000 // CLIENTS + 1, "quick": 1_000 // CLIENTS + 1}
HITS: list[Callable[[str, UUID], Op[Any]]] = [get_task, toggle_task]
MISSES = [*HITS, delete_task]


def mixed_operations(owner: str, kept: UUID, foreign: UUID, seen: list[object]) -> Client:
    """The operations of one owner; `seen` collects each result that another owner has changed."""
    rng = random.Random(owner)
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
            task = rng.choice(own)
            got = yield rng.choice(HITS)(owner, task)
            seen += [got] * ((got.user_id, got.title, got.id) != (owner, owner, task))
        elif turn % 5 == 3:
            miss = yield rng.choice(MISSES)(owner, foreign)
            seen += [miss] * (type(miss) is not NotTaskOwner)
        else:
            deleted = yield delete_task(owner, own[-1])
            seen += [deleted] * (deleted != own.pop())


def bound_once(owner: str, kept: UUID, foreign: UUID, seen: list[object]) -> Client:
    """Bind the owner once, for the life of the connection, as if no other client used it."""
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

    async def run_all() -> int:
        async with AsyncDatabase(url, **POOL) as database:
            return sum(await asyncio.gather(*(work(database, client) for client in clients)))

    return asyncio.run(run_all())


def _next(client: Client, outcome: Any) -> Op[Any] | None:
    try:
        return client.send(outcome)
    except StopIteration:
        return None


@pytest.fixture(params=[in_threads, in_tasks])
def run_together(request: pytest.FixtureRequest) -> Callable[[str, list[Client]], int]:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def tasks_by_owner(db: Database, make_user: Callable[[], str]) -> dict[str, UUID]:
    """Owners with one task each."""
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
def test_no_client_gets_a_foreign_row(
    locks: str,
    run_together: Callable[[str, list[Client]], int],
    served_url: str,
    tasks_by_owner: dict[str, UUID],
    request: pytest.FixtureRequest,
) -> None:
    if locks != "both locks":
        request.getfixturevalue("predicate_off")
        request.getfixturevalue("owner_check_off")
    clients, seen = _clients(tasks_by_owner, mixed_operations)
    done = run_together(served_url, clients)
    assert seen == []
    assert done == CLIENTS * TURNS[settings.get_current_profile_name()]


@pytest.mark.usefixtures("predicate_off", "owner_check_off")
def test_row_level_security_that_is_bound_once_for_each_client_leaks(
    run_together: Callable[[str, list[Client]], int],
    served_url: str,
    tasks_by_owner: dict[str, UUID],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Control: with the same pool and the same clients, a foreign row is seen."""
    monkeypatch.setattr(wire, "BIND_OWNER", _FOR_NOTHING)
    clients, seen = _clients(tasks_by_owner, bound_once)
    run_together(served_url, clients)
    assert seen != []
