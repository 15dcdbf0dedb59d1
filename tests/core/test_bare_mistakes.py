"""A mistake in the arguments is InvalidInput when the operation is made, before it runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from pydantic import ValidationError

from taskcore import (
    InvalidInput,
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

ID = uuid4()
# The functions without their types, as a caller without a type checker sees them.
CREATE: Any = create_task
UPDATE: Any = update_task
SET: Any = set_task_completed

MISTAKES: dict[str, Callable[[], object]] = {
    "a dictionary instead of a TaskCreate": lambda: CREATE("ada", {"title": "x"}),
    "None instead of a TaskCreate": lambda: CREATE("ada", None),
    "a TaskUpdate instead of a TaskCreate": lambda: CREATE("ada", TaskUpdate(title="x")),
    "a dictionary instead of a TaskUpdate": lambda: UPDATE("ada", ID, {"title": "x"}),
    "a TaskCreate instead of a TaskUpdate": lambda: UPDATE("ada", ID, TaskCreate(title="x")),
    "a text instead of a boolean": lambda: SET("ada", ID, "yes"),
    "an id as text in get_task": lambda: get_task("ada", str(ID)),  # type: ignore[arg-type]
    "an id as text in toggle_task": lambda: toggle_task("ada", str(ID)),  # type: ignore[arg-type]
    "an id as text in delete_task": lambda: delete_task("ada", str(ID)),  # type: ignore[arg-type]
    "an owner that is not a text": lambda: list_tasks(7),  # type: ignore[arg-type]
    "an empty owner": lambda: list_tasks(""),
    "an idempotency key with a space": lambda: create_task(
        "ada", TaskCreate(title="x"), idempotency_key="a b"
    ),
    "a version without a time zone": lambda: toggle_task(
        "ada",
        ID,
        if_version="2026-01-01",  # type: ignore[arg-type]
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=list(MISTAKES))
def test_it_is_invalid_input_when_the_operation_is_made(mistake: Callable[[], object]) -> None:
    with pytest.raises(InvalidInput):
        mistake()


def test_right_arguments_make_operations() -> None:
    assert create_task("ada", TaskCreate(title="x")).owner == "ada"
    assert update_task("ada", ID, TaskUpdate(title="x")).owner == "ada"
    assert set_task_completed("ada", ID, True).owner == "ada"


def test_a_model_with_bad_fields_is_pydantics_own_error() -> None:
    for bad in ({"title": ""}, {"title": "x", "completed": "yes"}):
        with pytest.raises(ValidationError):
            TaskCreate.model_validate(bad)
    with pytest.raises(ValidationError):
        TaskUpdate()
