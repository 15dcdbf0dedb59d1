"""The public names: sorted, complete, importable, and nothing else."""

from __future__ import annotations

from types import ModuleType

import taskcore


def test_the_list_is_sorted_and_has_no_twins() -> None:
    assert taskcore.__all__ == sorted(set(taskcore.__all__))


def test_every_name_on_the_list_is_there() -> None:
    namespace: dict[str, object] = {}
    exec("from taskcore import *", namespace)
    namespace.pop("__builtins__")
    assert sorted(namespace) == taskcore.__all__


def test_everything_there_is_on_the_list() -> None:
    there = [
        name
        for name, value in vars(taskcore).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    ]
    assert sorted(there) == taskcore.__all__


def test_every_operation_error_and_schema_says_what_it_is() -> None:
    undocumented = [name for name in taskcore.__all__ if not getattr(taskcore, name).__doc__]
    assert undocumented == []
