"""Any order of beginnings, cancellations and losses leaves the pool whole, and mixes no rows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.injecting_proxy import FATAL, injecting
from core.loop_operations import turns
from taskcore import (
    AsyncDatabase,
    ConnectionLost,
    TaskCreate,
    TaskRead,
    create_task,
    list_tasks,
)

SIZE = 2
OWNERS = 3

# Begin an operation of this owner; cancel the one that began so many before; let turns of the loop
# or a moment pass; have the server report its end; cut all connections.
STEPS = st.one_of(
    st.tuples(st.just("begin"), st.integers(0, OWNERS - 1)),
    st.tuples(st.just("cancel"), st.integers(0, 6)),
    st.tuples(st.just("turns"), st.integers(0, 6)),
    st.tuples(st.just("wait"), st.just(0)),
    st.tuples(st.sampled_from(["report", "cut"]), st.just(0)),
)


# The pool draws from no `random`, but threads of the proxy run beside the strategies.
@pytest.mark.filterwarnings("ignore:Do not use the .random. module")
def test_in_any_order_of_events_the_pool_stays_whole(
    url: str, make_user: Callable[[], str]
) -> None:
    owners = [make_user() for _ in range(OWNERS)]
    ends: set[str] = set()

    @settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
    @given(st.lists(STEPS, min_size=5, max_size=40))
    def holds(steps: list[tuple[str, int]]) -> None:
        async def play() -> None:
            async with AsyncDatabase(through, max_size=SIZE, timeout=20) as database:
                begun: list[tuple[str, asyncio.Task[list[TaskRead]]]] = []
                for step, number in steps:
                    if step == "begin":
                        op = list_tasks(owners[number])
                        begun.append((owners[number], asyncio.create_task(database.run(op))))
                    elif step == "cancel" and number < len(begun):
                        begun[-1 - number][1].cancel()
                    elif step == "turns":
                        await turns(number)
                    elif step == "wait":
                        await asyncio.sleep(0.002)
                    elif step == "cut":
                        proxy.cut()
                    stats = database.stats()
                    assert stats["pool_available"] <= stats["pool_size"] <= SIZE
                    # A server reports its end between two answers.
                    if step == "report" and stats["pool_available"] == stats["pool_size"]:
                        proxy.inject(FATAL)
                for owner, running in begun:
                    await _check(owner, running, ends)
                # All places work, and nothing waits.
                await asyncio.gather(*(database.run(list_tasks(owner)) for owner in owners * 2))
                stats = database.stats()
                assert stats["requests_waiting"] == 0
                assert stats["pool_size"] == stats["pool_available"] <= SIZE

        asyncio.run(play())

    async def prepare() -> None:
        async with AsyncDatabase(url) as database:
            for owner in owners:
                await database.run(create_task(owner, TaskCreate(title=owner)))

    asyncio.run(prepare())
    with injecting(url) as (proxy, through):
        holds()
    # The control: operations ended in each of these ways. Most that are lost are repeated.
    assert {"done", "cancelled"} <= ends <= {"done", "cancelled", "lost"}


async def _check(owner: str, running: asyncio.Task[list[TaskRead]], ends: set[str]) -> None:
    try:
        found = await running
    except asyncio.CancelledError:
        ends.add("cancelled")
    except ConnectionLost:
        ends.add("lost")
    else:
        assert [(task.user_id, task.title) for task in found] == [(owner, owner)]
        ends.add("done")
