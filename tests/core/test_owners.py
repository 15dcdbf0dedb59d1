"""An invalid owner is refused when the operation is made, before anything is sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.counting_proxy import CountingProxy
from support.drivers import Run
from taskcore import (
    Database,
    InvalidInput,
    Op,
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

ID = UUID(int=1)
MAKE: dict[str, Callable[[Any], Op[Any]]] = {
    "create": lambda owner: create_task(owner, TaskCreate(title="x")),
    "create with a key": lambda owner: create_task(
        owner, TaskCreate(title="x"), idempotency_key="k"
    ),
    "list": list_tasks,
    "get": lambda owner: get_task(owner, ID),
    "update": lambda owner: update_task(owner, ID, TaskUpdate(title="x")),
    "toggle": lambda owner: toggle_task(owner, ID),
    "set": lambda owner: set_task_completed(owner, ID, True),
    "delete": lambda owner: delete_task(owner, ID),
}
BAD: dict[str, object] = {
    "empty": "",
    "too long": "x" * 256,
    "NUL": "a\0b",
    "surrogate": "a\ud800b",
    "none": None,
    "number": 1,
    "bytes": b"user_1",
}

each_operation = pytest.mark.parametrize("name", MAKE)


@each_operation
@pytest.mark.parametrize("bad", BAD)
def test_no_operation_is_made_for_an_invalid_owner(name: str, bad: str) -> None:
    with pytest.raises(InvalidInput, match="owner"):
        MAKE[name](BAD[bad])
    for good in ("x", "x" * 255, "😀" * 255, " "):
        assert MAKE[name](good).owner == good


@each_operation
@given(
    st.builds(
        lambda before, bad, after: before + bad + after,
        st.text(max_size=20),
        st.sampled_from("\0\ud800\udfff"),
        st.text(max_size=20),
    )
)
def test_no_operation_is_made_for_an_owner_with_an_unstorable_character(
    name: str, owner: str
) -> None:
    with pytest.raises(InvalidInput, match="owner"):
        MAKE[name](owner)


@pytest.mark.parametrize("owner", ["'; DROP TABLE tasks --", "👩‍🚀", "x" * 255, "a,b", "\\", "$1"])
def test_an_owner_may_be_any_other_text(owner: str, run: Run, admin: psycopg.Connection) -> None:
    admin.execute("INSERT INTO users (id) VALUES (%s)", [owner])
    try:
        task = run(create_task(owner, TaskCreate(title="x")))
        assert [found.user_id for found in run(list_tasks(owner))] == [owner]
        assert run(delete_task(owner, task.id)) == task.id
    finally:
        admin.execute("DELETE FROM users WHERE id = %s", [owner])


def test_nothing_is_sent_for_a_refused_operation(
    counting_proxy: CountingProxy, counted_url: str, alice: str
) -> None:
    with Database(counted_url, min_size=1, max_size=1) as database:
        database.run(list_tasks(alice))
        counting_proxy.forget()
        for bad in BAD.values():
            with pytest.raises(InvalidInput):
                database.run(list_tasks(bad))  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="title"):
            database.run(create_task(alice, TaskCreate(title="\0")))
        assert counting_proxy.messages.total() == 0
        database.run(list_tasks(alice))
        assert counting_proxy.messages.total() > 0
