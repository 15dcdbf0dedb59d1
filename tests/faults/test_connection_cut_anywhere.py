"""A connection is cut after any byte of an operation; the caller's result or error is correct.

Reads and creates succeed. After any other change the row has its old or its new state.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faults.faulty_proxy import Direction, FaultyProxy, behind
from support.figures import FULL
from taskcore import (
    Database,
    DatabaseUnavailable,
    Op,
    TaskCreate,
    TaskNotFound,
    TaskRead,
    TaskUpdate,
    create_task,
    delete_task,
    get_task,
    list_tasks,
    set_task_completed,
    toggle_task,
    update_task,
)


def _created(task: TaskRead, now: list[TaskRead]) -> bool:
    return len(now) == 2 and task in now


def _changed(task: TaskRead, now: list[TaskRead]) -> bool:
    return now == [] or (now[0].title, now[0].completed) != (task.title, task.completed)


Make = Callable[[TaskRead], Op[Any]]
OPERATIONS: dict[str, tuple[Make, Callable[[TaskRead, list[TaskRead]], bool]]] = {
    "list": (lambda t: list_tasks(t.user_id), lambda t, now: now == [t]),
    "get": (lambda t: get_task(t.user_id, t.id), lambda t, now: now == [t]),
    "create": (lambda t: create_task(t.user_id, TaskCreate(title="two")), _created),
    "update": (lambda t: update_task(t.user_id, t.id, TaskUpdate(title="x")), _changed),
    "toggle": (lambda t: toggle_task(t.user_id, t.id), _changed),
    "set": (lambda t: set_task_completed(t.user_id, t.id, True), _changed),
    "delete": (lambda t: delete_task(t.user_id, t.id), _changed),
}


# The pool's threads draw from the same `random`; Hypothesis takes that for a strategy's draw.
@pytest.mark.filterwarnings("ignore:Do not use the .random. module")
def test_a_cut_after_any_byte_is_repeated_or_reported_as_outcome_unknown(
    faulty_proxy: FaultyProxy, url: str, db: Database, make_user: Callable[[], str]
) -> None:
    seen: set[tuple[str, bool]] = set()

    @settings(max_examples=1500 if FULL else 150)
    @given(
        st.sampled_from(list(OPERATIONS)), st.sampled_from(get_args(Direction)), st.integers(0, 900)
    )
    def holds(name: str, direction: Direction, after: int) -> None:
        make, done = OPERATIONS[name]
        owner = users[name]
        for old in db.run(list_tasks(owner)):
            db.run(delete_task(owner, old.id))
        task: TaskRead = db.run(create_task(owner, TaskCreate(title="one")))
        task = db.run(get_task(owner, task.id))
        cut = faulty_proxy.cut_after(direction, after)
        failure: DatabaseUnavailable | None = None
        try:
            behind_proxy.run(make(task))
        except DatabaseUnavailable as error:
            failure = error
        faulty_proxy.heal()
        now = db.run(list_tasks(owner))
        if failure is None:
            assert done(task, now)
            seen.add(("done", cut.done.is_set()))
        else:
            assert cut.done.is_set()
            assert failure.outcome_unknown
            assert name not in ("list", "get", "create"), "reads and creates are repeated"
            assert done(task, now) or now == [task]
            seen.add(("unknown", done(task, now)))

    users = {name: make_user() for name in OPERATIONS}
    with Database(behind(faulty_proxy, url), max_size=1) as behind_proxy:
        holds()
    # Control: all four outcomes occurred, so the assertions above did not pass without a cut.
    assert seen == {("unknown", True), ("unknown", False), ("done", True), ("done", False)}


def test_each_state_check_is_false_before_and_true_after_the_change(
    db: Database, alice: str
) -> None:
    """Control: `done` distinguishes the two states of a row."""
    task = db.run(get_task(alice, db.run(create_task(alice, TaskCreate(title="one"))).id))
    for name, (make, done) in OPERATIONS.items():
        if name in ("list", "get"):
            continue
        assert not done(task, db.run(list_tasks(alice)))
        db.run(make(task))
        assert done(task, db.run(list_tasks(alice)))
        if name == "delete":
            with pytest.raises(TaskNotFound):
                db.run(get_task(alice, task.id))
            break
        for old in db.run(list_tasks(alice)):
            db.run(delete_task(alice, old.id))
        task = db.run(get_task(alice, db.run(create_task(alice, TaskCreate(title="one"))).id))
