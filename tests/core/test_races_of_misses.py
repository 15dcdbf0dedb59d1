"""While an owner's task is made and deleted again, it never counts as another user's."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Event

from taskcore import Database, TaskCreate, TaskNotFound, create_task, delete_task, get_task

_TURNS = 150


def test_a_create_that_races_a_delete_never_makes_the_task_another_users(
    served_url: str, alice: str
) -> None:
    """NotTaskOwner would end the thread; the control is that both outcomes were seen."""
    ended = Event()
    with Database(served_url, max_size=4) as database:
        task = database.run(create_task(alice, TaskCreate(title="one"), idempotency_key="k"))

        def makes_and_deletes() -> None:
            try:
                for _ in range(_TURNS):
                    database.run(create_task(alice, TaskCreate(title="one"), idempotency_key="k"))
                    with suppress(TaskNotFound):
                        database.run(delete_task(alice, task.id))
            finally:
                ended.set()

        def looks() -> set[bool]:
            seen = set()
            while not ended.is_set():
                try:
                    database.run(get_task(alice, task.id))
                    seen.add(True)
                except TaskNotFound:
                    seen.add(False)
            return seen

        with ThreadPoolExecutor(3) as threads:
            writer = threads.submit(makes_and_deletes)
            readers = [threads.submit(looks) for _ in range(2)]
            writer.result()
            assert set().union(*(reader.result() for reader in readers)) == {True, False}
