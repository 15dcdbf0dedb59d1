"""An operation takes one round trip, and two if it finds no row; both are counted on the wire."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from support.counting_proxy import CountingProxy
from taskcore import (
    AsyncDatabase,
    Database,
    Op,
    OperationRefused,
    TaskCreate,
    TaskUpdate,
    create_task,
    delete_task,
    get_task,
    list_tasks,
    set_task_completed,
    toggle_task,
    update_task,
)

Make = Callable[[str, UUID], Op[Any]]

OPERATIONS: dict[str, Make] = {
    "create": lambda owner, _: create_task(owner, TaskCreate(title="new")),
    "list": lambda owner, _: list_tasks(owner),
    "get": get_task,
    "update": lambda owner, task: update_task(owner, task, TaskUpdate(title="changed")),
    "toggle": toggle_task,
    "set": lambda owner, task: set_task_completed(owner, task, True),
    "delete": delete_task,
}


@pytest.fixture(params=[True, False], ids=["prepared", "unprepared"])
def prepare(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def counted(counting_proxy: CountingProxy, counted_url: str, prepare: bool) -> Iterator[Database]:
    with Database(counted_url, min_size=1, max_size=1, prepare=prepare) as database:
        yield database


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_hit_is_one_round_trip(
    name: str, counted: Database, counting_proxy: CountingProxy, alice: str
) -> None:
    task = counted.run(create_task(alice, TaskCreate(title="one")))
    counting_proxy.forget()
    counted.run(OPERATIONS[name](alice, task.id))
    assert counting_proxy.round_trips == 1


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name not in ("create", "list")])
def test_a_miss_is_two_round_trips(
    name: str, counted: Database, counting_proxy: CountingProxy, alice: str
) -> None:
    counted.run(create_task(alice, TaskCreate(title="warms up")))
    counting_proxy.forget()
    with pytest.raises(OperationRefused):
        counted.run(OPERATIONS[name](alice, uuid4()))
    assert counting_proxy.round_trips == 2


@pytest.mark.parametrize("name", OPERATIONS)
async def test_the_async_driver_takes_the_same_round_trips(
    name: str, counting_proxy: CountingProxy, counted_url: str, alice: str, prepare: bool
) -> None:
    async with AsyncDatabase(counted_url, min_size=1, max_size=1, prepare=prepare) as database:
        task = await database.run(create_task(alice, TaskCreate(title="one")))
        counting_proxy.forget()
        await database.run(OPERATIONS[name](alice, task.id))
        assert counting_proxy.round_trips == 1
        if name not in ("create", "list"):
            counting_proxy.forget()
            with pytest.raises(OperationRefused):
                await database.run(OPERATIONS[name](alice, uuid4()))
            assert counting_proxy.round_trips == 2


def test_an_empty_list_asks_whether_the_user_exists(
    counted: Database, counting_proxy: CountingProxy, alice: str
) -> None:
    counted.run(create_task(alice, TaskCreate(title="warms up")))
    counted.run(delete_task(alice, counted.run(list_tasks(alice))[0].id))
    counting_proxy.forget()
    assert counted.run(list_tasks(alice)) == []
    assert counting_proxy.round_trips == 2


def test_the_count_sees_a_second_round_trip(
    counted: Database, counting_proxy: CountingProxy, alice: str
) -> None:
    """Control: two operations are two round trips."""
    task = counted.run(create_task(alice, TaskCreate(title="one")))
    counting_proxy.forget()
    counted.run(get_task(alice, task.id))
    counted.run(get_task(alice, task.id))
    assert counting_proxy.round_trips == 2
