"""`taskcore.__all__` is sorted, complete, and holds only names that can be imported."""

from __future__ import annotations

from types import ModuleType

import taskcore


def test_the_list_is_sorted_and_has_no_duplicates() -> None:
    assert taskcore.__all__ == sorted(set(taskcore.__all__))


def test_every_listed_name_can_be_imported() -> None:
    namespace: dict[str, object] = {}
    exec("from taskcore import *", namespace)
    namespace.pop("__builtins__")
    assert sorted(namespace) == taskcore.__all__


def test_every_public_name_is_listed() -> None:
    public = [
        name
        for name, value in vars(taskcore).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    ]
    assert sorted(public) == taskcore.__all__


def test_every_listed_name_has_a_docstring() -> None:
    undocumented = [name for name in taskcore.__all__ if not getattr(taskcore, name).__doc__]
    assert undocumented == []
