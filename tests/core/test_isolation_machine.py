"""Several users at random, through both drivers at once, against a model kept in plain Python.

After each step every user's list has to be the model's. A miss has to be the one that the model
says, so that nobody is told "not yours" where there is nothing, or the other way round.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from itertools import cycle
from typing import Any
from uuid import UUID

from fix_locks import Run, awaiting
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from taskcore import (
    Database,
    NotTaskOwner,
    Op,
    StaleTask,
    TaskCreate,
    TaskMissed,
    TaskNotFound,
    TaskRead,
    TaskUpdate,
    UnknownUser,
    create_task,
    delete_task,
    get_task,
    list_tasks,
    operations,
    set_task_completed,
    toggle_task,
    update_task,
)
from taskcore.schemas import task_created

# The steps of one example, and the least that all of them have to come to.
STEPS = {"ci": (60, 5_000), "quick": (30, 500)}
NEVER = datetime(2001, 2, 3, tzinfo=UTC)
NOBODY = "nobody"

users = st.integers(0, 3)  # the last one does not exist
titles = st.text("abc é", min_size=1, max_size=4).filter(str.strip)
drivers = st.booleans()
wishes = st.sampled_from(["any", "current", "stale", "either", "never"])
picks = st.tuples(
    st.sampled_from(["own", "own", "foreign", "deleted", "random"]), st.integers(0, 99)
)
changes = st.fixed_dictionaries(
    {}, optional={"title": titles, "description": st.none() | titles, "completed": st.booleans()}
).filter(bool)


class Isolation(RuleBasedStateMachine):
    def __init__(self, runs: tuple[Run, Run], owners: list[str], count: Callable[[], object]):
        super().__init__()
        self.runs = runs
        self.owners = [*owners, NOBODY]
        self.count = count
        self.turns = cycle(runs)
        self.tasks: dict[str, dict[UUID, TaskRead]] = {owner: {} for owner in owners}
        self.past: dict[UUID, list[datetime]] = {}

    @rule(user=users, title=titles, done=st.booleans(), driver=drivers)
    def create(self, user: int, title: str, done: bool, driver: bool) -> None:
        draft = TaskCreate(title=title, completed=done)
        self.made(driver, create_task(self.owners[user], draft), draft)

    @rule(user=users, title=titles, key=st.sampled_from("kq"), driver=drivers)
    def create_with_a_key(self, user: int, title: str, key: str, driver: bool) -> None:
        draft = TaskCreate(title=title)
        self.made(driver, create_task(self.owners[user], draft, key=key), draft)

    @rule(user=users, title=titles, pick=picks, driver=drivers)
    def create_with_an_id(
        self, user: int, title: str, pick: tuple[str, int], driver: bool
    ) -> None:
        """Nobody draws an id of another user's; if somebody did, it would be a task of their own."""
        draft, owner = TaskCreate(title=title), self.owners[user]
        task = self.pick(owner, pick)
        self.made(driver, Op(owner, operations._create, (task, draft), task_created), draft)

    @rule(user=users, pick=picks, driver=drivers)
    def get(self, user: int, pick: tuple[str, int], driver: bool) -> None:
        self.hit(driver, user, pick, "any", lambda owner, task, _: get_task(owner, task), {})

    @rule(user=users, pick=picks, wish=wishes, driver=drivers)
    def toggle(self, user: int, pick: tuple[str, int], wish: str, driver: bool) -> None:
        own = self.tasks.get(self.owners[user], {}).get(self.pick(self.owners[user], pick))
        change = {"completed": not own.completed} if own else {}
        self.hit(driver, user, pick, wish, _versioned(toggle_task), change)

    @rule(user=users, pick=picks, wish=wishes, done=st.booleans(), driver=drivers)
    def set_completed(
        self, user: int, pick: tuple[str, int], wish: str, done: bool, driver: bool
    ) -> None:
        self.hit(
            driver, user, pick, wish, _versioned(set_task_completed, done), {"completed": done}
        )

    @rule(user=users, pick=picks, wish=wishes, change=changes, driver=drivers)
    def update(
        self, user: int, pick: tuple[str, int], wish: str, change: dict[str, Any], driver: bool
    ) -> None:
        asked = TaskUpdate(**change)
        change = asked.model_dump(exclude_unset=True)
        self.hit(driver, user, pick, wish, _versioned(update_task, asked), change)

    @rule(user=users, pick=picks, wish=wishes, driver=drivers)
    def delete(self, user: int, pick: tuple[str, int], wish: str, driver: bool) -> None:
        self.hit(driver, user, pick, wish, _versioned(delete_task), None)

    @invariant()
    def every_list_is_the_models(self) -> None:
        for owner, own in self.tasks.items():
            newest_first = sorted(own.values(), key=lambda task: (task.created_at, task.id))[::-1]
            assert next(self.turns)(list_tasks(owner)) == newest_first

    def made(self, driver: bool, op: Op[Any, Any], draft: TaskCreate) -> None:
        self.count()
        if op.owner == NOBODY:
            assert self.outcome(driver, op) is UnknownUser
            return
        own, created = self.tasks[op.owner], self.runs[driver](op)
        task = TaskRead(**created.model_dump())
        assert created.replayed == (task.id in own)
        if created.replayed:
            assert task == own[task.id]
        else:
            assert task.user_id == op.owner
            assert draft == TaskCreate.model_validate(task, from_attributes=True)
            assert all(task.created_at >= older.created_at for older in own.values())
            own[task.id] = task
            self.past.setdefault(task.id, []).append(task.updated_at)

    def hit(
        self,
        driver: bool,
        user: int,
        pick: tuple[str, int],
        wish: str,
        make: Callable[[str, UUID, list[datetime] | None], Op[Any, Any]],
        change: dict[str, Any] | None,
    ) -> None:
        """An operation on one task; `change` is what it does to it, None that it deletes it."""
        self.count()
        owner = self.owners[user]
        task = self.pick(owner, pick)
        expected = self.expected(owner, task, wish)
        got = self.outcome(driver, make(owner, task, expected))
        missed = self.miss(owner, task, expected)
        if missed is not None:
            assert got is missed
        elif change is None:
            assert got == task
            del self.tasks[owner][task]
        else:
            before = self.tasks[owner][task]
            assert got.model_dump() == {
                **before.model_dump(),
                **change,
                "updated_at": got.updated_at,
            }
            assert got.updated_at > before.updated_at or not change
            self.tasks[owner][task] = got
            self.past[task].append(got.updated_at)
