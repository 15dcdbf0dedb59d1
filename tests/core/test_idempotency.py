"""Creates with the same idempotency key make one task."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier
from typing import Any

import pytest

from support.drivers import Run
from taskcore import (
    AsyncDatabase,
    Database,
    InvalidInput,
    TaskCreate,
    TaskCreated,
    TaskNotFound,
    create_task,
    delete_task,
    get_task,
    list_tasks,
    toggle_task,
)

CLIENTS = 50


def one_was_made(made: list[TaskCreated]) -> bool:
    return len({task.id for task in made}) == 1 and [t.replayed for t in made].count(False) == 1


def test_50_threads_with_one_key_make_one_task(db: Database, alice: str) -> None:
    start = Barrier(CLIENTS)

    def create(n: int) -> TaskCreated:
        op = create_task(alice, TaskCreate(title=f"body {n}"), idempotency_key="k")
        start.wait(timeout=30)
        return db.run(op)

    with ThreadPoolExecutor(CLIENTS) as threads:
        made = list(threads.map(create, range(CLIENTS)))
    assert one_was_made(made)
    assert len({task.title for task in made}) == 1, "the creates returned different bodies"
    assert len(db.run(list_tasks(alice))) == 1


async def test_50_coroutines_with_one_key_make_one_task(adb: AsyncDatabase, alice: str) -> None:
    made = await asyncio.gather(
        *(
            adb.run(create_task(alice, TaskCreate(title=f"{n}"), idempotency_key="k"))
            for n in range(CLIENTS)
        )
    )
    assert one_was_made(made)
    assert len({task.title for task in made}) == 1
    assert len(await adb.run(list_tasks(alice))) == 1


async def test_50_coroutines_without_a_key_make_50(adb: AsyncDatabase, alice: str) -> None:
    """Control: without a key each create makes a task."""
    body = TaskCreate(title="one")
    made = await asyncio.gather(*(adb.run(create_task(alice, body)) for _ in range(CLIENTS)))
    assert not one_was_made(made)
    assert len(await adb.run(list_tasks(alice))) == CLIENTS


def test_the_first_body_is_kept(run: Run, alice: str) -> None:
    first = run(create_task(alice, TaskCreate(title="first"), idempotency_key="k"))
    second = run(
        create_task(alice, TaskCreate(title="second", completed=True), idempotency_key="k")
    )
    assert (first.replayed, second.replayed) == (False, True)
    assert second.model_dump() == first.model_dump()


def test_a_replay_shows_the_task_as_it_is_now(run: Run, alice: str) -> None:
    create = create_task(alice, TaskCreate(title="one"), idempotency_key="k")
    toggled = run(toggle_task(alice, run(create).id))
    assert run(create).model_dump() == toggled.model_dump()


def test_another_key_is_another_task(run: Run, alice: str) -> None:
    body = TaskCreate(title="one")
    made = [run(create_task(alice, body, idempotency_key=key)) for key in ("k", "K", "k!")]
    assert [task.replayed for task in made] == [False] * 3
    assert len(run(list_tasks(alice))) == 3


def test_keys_belong_to_their_owner(run: Run, alice: str, bob: str) -> None:
    hers = run(create_task(alice, TaskCreate(title="hers"), idempotency_key="k"))
    his = run(create_task(bob, TaskCreate(title="his"), idempotency_key="k"))
    assert (hers.replayed, his.replayed) == (False, False)
    assert (his.user_id, his.title) == (bob, "his")
    assert [task.title for task in run(list_tasks(alice))] == ["hers"]


def test_deleting_frees_the_key(run: Run, alice: str) -> None:
    first = run(create_task(alice, TaskCreate(title="first"), idempotency_key="k"))
    run(delete_task(alice, first.id))
    second = run(create_task(alice, TaskCreate(title="second"), idempotency_key="k"))
    assert (second.replayed, second.title) == (False, "second")
    assert run(get_task(alice, second.id)).title == "second"


def test_concurrent_creates_and_deletes_never_fail(db: Database, alice: str) -> None:
    create = create_task(alice, TaskCreate(title="one"), idempotency_key="k")
    task = db.run(create)
    delete = delete_task(alice, task.id)
    start = Barrier(4)

    def creates() -> int:
        start.wait(timeout=30)
        return sum(not db.run(create).replayed for _ in range(50))

    def deletes() -> int:
        deleted = 0
        start.wait(timeout=30)
        for _ in range(50):
            with suppress(TaskNotFound):
                deleted += db.run(delete) == task.id
        return deleted

    with ThreadPoolExecutor(4) as threads:
        running = [threads.submit(work) for work in (creates, creates, deletes, deletes)]
        made_1, made_2, deleted_1, deleted_2 = (work.result(timeout=60) for work in running)
    left = len(db.run(list_tasks(alice)))
    assert 1 + made_1 + made_2 - deleted_1 - deleted_2 == left


@pytest.mark.parametrize("key", ["", "x" * 256, "a b", "ä", "a\n", "\0", 1, b"k"])
def test_a_key_is_visible_ascii(key: Any) -> None:
    with pytest.raises(InvalidInput, match="key"):
        create_task("user_1", TaskCreate(title="x"), idempotency_key=key)
    for good in ("k", "x" * 255, "!~"):
        create_task("user_1", TaskCreate(title="x"), idempotency_key=good)
