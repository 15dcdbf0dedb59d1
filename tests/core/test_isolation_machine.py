"""Random operations of several owners, through both drivers, against a model in plain Python.

After each step every owner's list must be the model's. A miss must be the model's too, so that
NotTaskOwner and TaskNotFound are never confused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count, cycle
from typing import Any, TypeAlias
from uuid import UUID, uuid4

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from core.isolation_attempts import DRIVERS, Run
from taskcore import (
    Database,
    NotTaskOwner,
    Op,
    OperationRefused,
    StaleTask,
    TaskCreate,
    TaskNotFound,
    TaskRead,
    TaskUpdate,
    UnknownUser,
    create_task,
    delete_task,
    get_task,
    list_tasks,
    set_task_completed,
    toggle_task,
    update_task,
)

# The steps of one example, and the minimum number of operations of all examples.
STEPS = {"ci": (75, 5_000), "quick": (45, 500)}
NEVER = datetime(2001, 2, 3, tzinfo=UTC)
UNKNOWN = "unknown"

users = st.integers(0, 3)  # the last one does not exist
titles = st.text("abc é", min_size=1, max_size=4).filter(str.strip)
drivers = st.booleans()
if_versions = st.sampled_from(["any", "current", "stale", "either", "never"])
Pick: TypeAlias = tuple[str, int]
picks = st.tuples(
    st.sampled_from(["own", "own", "foreign", "deleted", "random"]), st.integers(0, 99)
)
changes = st.fixed_dictionaries(
    {}, optional={"title": titles, "description": st.none() | titles, "completed": st.booleans()}
).filter(bool)


class Isolation(RuleBasedStateMachine):
    def __init__(self, runs: tuple[Run, Run], owners: list[str], taken: Iterator[int]):
        super().__init__()
        self.runs = runs
        self.owners = [*owners, UNKNOWN]
        self.count: Callable[[], int] = lambda: next(taken)
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
        self.made(driver, create_task(self.owners[user], draft, idempotency_key=key), draft)

    @rule(user=users, title=titles, pick=picks, driver=drivers)
    def create_with_an_id(self, user: int, title: str, pick: Pick, driver: bool) -> None:
        """Create with an id that another owner may have: it becomes a separate task."""
        draft, owner = TaskCreate(title=title), self.owners[user]
        new = {f"new_{name}": value for name, value in draft}
        with_this_id = replace(create_task(owner, draft), args=(self.pick(owner, pick), new))
        self.made(driver, with_this_id, draft)

    @rule(user=users, pick=picks, driver=drivers)
    def get(self, user: int, pick: Pick, driver: bool) -> None:
        self.on(driver, user, pick, "any", lambda owner, task, _: get_task(owner, task), _nothing)

    @rule(user=users, pick=picks, if_version=if_versions, driver=drivers)
    def toggle(self, user: int, pick: Pick, if_version: str, driver: bool) -> None:
        def change(before: TaskRead) -> dict[str, Any]:
            return {"completed": not before.completed}

        self.on(driver, user, pick, if_version, _with(toggle_task), change)

    @rule(user=users, pick=picks, if_version=if_versions, done=st.booleans(), driver=drivers)
    def set_completed(
        self, user: int, pick: Pick, if_version: str, done: bool, driver: bool
    ) -> None:
        change = {"completed": done}
        self.on(driver, user, pick, if_version, _with(set_task_completed, done), lambda _: change)

    @rule(user=users, pick=picks, if_version=if_versions, fields=changes, driver=drivers)
    def update(
        self, user: int, pick: Pick, if_version: str, fields: dict[str, Any], driver: bool
    ) -> None:
        asked = TaskUpdate(**fields)
        change = asked.model_dump(exclude_unset=True)
        self.on(driver, user, pick, if_version, _with(update_task, asked), lambda _: change)

    @rule(user=users, pick=picks, if_version=if_versions, driver=drivers)
    def delete(self, user: int, pick: Pick, if_version: str, driver: bool) -> None:
        self.on(driver, user, pick, if_version, _with(delete_task), None)

    @rule(driver=drivers)
    def list_of_an_unknown_owner(self, driver: bool) -> None:
        self.count()
        assert self.outcome(driver, list_tasks(UNKNOWN)) is UnknownUser

    @invariant()
    def every_list_equals_the_model(self) -> None:
        for owner, own in self.tasks.items():
            newest_first = sorted(own.values(), key=lambda task: (task.created_at, task.id))[::-1]
            assert next(self.turns)(list_tasks(owner)) == newest_first

    def made(self, driver: bool, op: Op[Any], draft: TaskCreate) -> None:
        self.count()
        created = self.outcome(driver, op)
        if op.owner == UNKNOWN:
            assert created is UnknownUser
            return
        own, task = self.tasks[op.owner], TaskRead(**created.model_dump())
        assert created.replayed == (task.id in own)
        if created.replayed:
            assert task == own[task.id]
            return
        wanted = (op.owner, draft.title, draft.completed)
        assert (task.user_id, task.title, task.completed) == wanted
        assert all(task.created_at >= older.created_at for older in own.values())
        self.keep(task)

    def on(
        self,
        driver: bool,
        user: int,
        pick: Pick,
        if_version: str,
        make: Callable[[str, UUID, list[datetime] | None], Op[Any]],
        change: Callable[[TaskRead], dict[str, Any]] | None,
    ) -> None:
        """Run an operation on one task; `change` gives the changed fields, None means a delete."""
        self.count()
        owner = self.owners[user]
        task = self.pick(owner, pick)
        expected = self.expected(owner, task, if_version)
        got = self.outcome(driver, make(owner, task, expected))
        missed = self.miss(owner, task, expected)
        if missed is not None:
            assert got is missed
        elif change is None:
            assert got == task
            del self.tasks[owner][task]
        else:
            before = self.tasks[owner][task]
            changed = {**change(before), "updated_at": got.updated_at}
            assert got == before.model_copy(update=changed)
            assert change is _nothing or got.updated_at > before.updated_at
            self.keep(got)

    def outcome(self, driver: bool, op: Op[Any]) -> Any:
        """The result, or the class of the miss."""
        try:
            return self.runs[driver](op)
        except OperationRefused as missed:
            return type(missed)

    def miss(self, owner: str, task: UUID, expected: list[datetime] | None) -> Any:
        """The miss that the model expects, or None if the operation finds its task."""
        if owner == UNKNOWN:
            return UnknownUser
        own = self.tasks[owner].get(task)
        if own is None:
            return NotTaskOwner if task in self.held() else TaskNotFound
        return StaleTask if expected is not None and own.updated_at not in expected else None

    def keep(self, task: TaskRead) -> None:
        self.tasks[task.user_id][task.id] = task
        self.past.setdefault(task.id, []).append(task.updated_at)

    def held(self) -> list[UUID]:
        return [task for own in self.tasks.values() for task in own]

    def pick(self, owner: str, pick: Pick) -> UUID:
        kind, number = pick
        own = self.tasks.get(owner, {})
        known: dict[str, list[UUID]] = {
            "own": list(own),
            "foreign": [task for task in self.held() if task not in own],
            "deleted": [task for task in self.past if task not in self.held()],
        }
        some = known.get(kind)
        return some[number % len(some)] if some else uuid4()

    def expected(self, owner: str, task: UUID, if_version: str) -> list[datetime] | None:
        own = self.tasks.get(owner, {}).get(task)
        current = [own.updated_at] if own else []
        stale = [version for version in self.past.get(task, []) if version not in current]
        return {
            "any": None,
            "current": current,
            "stale": stale,
            "either": stale + current,
            "never": [NEVER],
        }[if_version]


def _nothing(_: TaskRead) -> dict[str, Any]:
    return {}


def _with(
    make: Callable[..., Op[Any]], *arguments: object
) -> Callable[[str, UUID, list[datetime] | None], Op[Any]]:
    return lambda owner, task, expected: make(owner, task, *arguments, if_version=expected)


def test_every_result_is_the_models(
    served_url: str, db: Database, make_user: Callable[[], str]
) -> None:
    steps, least = STEPS[settings.get_current_profile_name()]
    taken = count()
    with DRIVERS["awaiting"](served_url) as awaited:

        class BoundIsolation(Isolation):
            def __init__(self) -> None:
                super().__init__((db.run, awaited), [make_user() for _ in range(3)], taken)

        run_state_machine_as_test(BoundIsolation, settings=settings(stateful_step_count=steps))
    assert next(taken) >= least
