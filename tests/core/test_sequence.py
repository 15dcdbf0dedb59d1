"""Any sequence of one owner's operations has the same effect as on a plain list."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID, uuid4

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from taskcore import (
    Database,
    StaleTask,
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


@dataclass(frozen=True)
class Kept:
    id: UUID
    title: str
    description: str | None
    completed: bool


titles = st.sampled_from(["a", "b", "ü😀", "x" * 500])
descriptions = st.sampled_from([None, "", "text"])
bodies = st.builds(TaskCreate, title=titles, description=descriptions, completed=st.booleans())
changes = st.fixed_dictionaries(
    {}, optional={"title": titles, "description": descriptions, "completed": st.booleans()}
).filter(bool)
# The index of a task, newest first, or past the end; and the version that the operation expects.
which = st.integers(0, 2)
versions = st.sampled_from(["any", "current", "stale"])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("create"), bodies, st.sampled_from([None, "k1", "k2"])),
        st.tuples(st.just("get"), which),
        st.tuples(st.just("update"), which, versions, changes),
        st.tuples(st.just("toggle"), which, versions),
        st.tuples(st.just("set"), which, versions, st.booleans()),
        st.tuples(st.just("delete"), which, versions),
    ),
    min_size=5,
    max_size=15,
)


def kept(task: TaskRead) -> Kept:
    return Kept(task.id, task.title, task.description, task.completed)


class Model:
    """One owner's tasks as a list, newest first, and the id that each key has given."""

    def __init__(self, db: Database, owner: str) -> None:
        self.db = db
        self.owner = owner
        self.tasks: list[Kept] = []
        self.keys: dict[str, UUID] = {}

    def step(self, name: str, *arguments: Any) -> None:
        getattr(self, name)(*arguments)
        found = self.db.run(list_tasks(self.owner))
        assert [kept(task) for task in found] == self.tasks
        moments = [task.created_at for task in found]
        assert moments == sorted(moments, reverse=True)

    def create(self, body: TaskCreate, key: str | None) -> None:
        made = self.db.run(create_task(self.owner, body, idempotency_key=key))
        before = [task for task in self.tasks if key and task.id == self.keys.get(key)]
        assert made.replayed is bool(before)
        if before:
            assert kept(made) == before[0]
            return
        if key:
            assert self.keys.setdefault(key, made.id) == made.id, "the id of a key has changed"
        new = Kept(made.id, body.title, body.description, body.completed)
        assert kept(made) == new
        self.tasks.insert(0, new)

    def get(self, index: int) -> None:
        if index >= len(self.tasks):
            assert self._misses(get_task, uuid4()) is TaskNotFound
        else:
            assert (
                kept(self.db.run(get_task(self.owner, self.tasks[index].id))) == self.tasks[index]
            )

    def update(self, index: int, version: str, change: dict[str, Any]) -> None:
        self._write(
            index,
            version,
            lambda owner, task, **at: update_task(owner, task, TaskUpdate(**change), **at),
            lambda task: replace(task, **change),
        )

    def toggle(self, index: int, version: str) -> None:
        self._write(
            index, version, toggle_task, lambda task: replace(task, completed=not task.completed)
        )

    def set(self, index: int, version: str, completed: bool) -> None:
        self._write(
            index,
            version,
            lambda owner, task, **at: set_task_completed(owner, task, completed, **at),
            lambda task: replace(task, completed=completed),
        )

    def delete(self, index: int, version: str) -> None:
        self._write(index, version, delete_task, None)

    def _write(
        self,
        index: int,
        version: str,
        make: Callable[..., Any],
        effect: Callable[[Kept], Kept] | None,
    ) -> None:
        if index >= len(self.tasks):
            assert self._misses(make, uuid4()) is TaskNotFound
            return
        old = self.tasks[index]
        current = self.db.run(get_task(self.owner, old.id)).updated_at
        if version == "stale":
            assert self._misses(make, old.id, if_version=[]) is StaleTask
            return
        if_version = None if version == "any" else current
        result = self.db.run(make(self.owner, old.id, if_version=if_version))
        if effect is None:
            assert result == old.id
            del self.tasks[index]
        else:
            self.tasks[index] = effect(old)
            assert kept(result) == self.tasks[index]
            assert result.updated_at > current

    def _misses(self, make: Callable[..., Any], task_id: UUID, **at: Any) -> type[Exception]:
        try:
            self.db.run(make(self.owner, task_id, **at))
        except (TaskNotFound, StaleTask) as error:
            return type(error)
        raise AssertionError("the operation should find no row")


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(sequence=steps)
def test_any_sequence_has_the_same_effect_as_on_a_list(
    sequence: list[tuple[Any, ...]], db: Database, make_user: Callable[[], str]
) -> None:
    model = Model(db, make_user())
    for title in ("one", "two"):
        model.create(TaskCreate(title=title), None)
    for step in sequence:
        model.step(*step)
