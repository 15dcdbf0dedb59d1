"""The tree of errors is the one that is drawn; an error's message is its class's docstring."""

from __future__ import annotations

import inspect
import re

import pytest

from taskcore import DatabaseUnavailable, InvalidInput, TaskcoreError, errors

CLASSES = [value for value in vars(errors).values() if inspect.isclass(value) and value is not type]
LINE = re.compile(r"^    (?P<indent>[│ ├└─]*)(?P<name>\w+)(?: \((?P<also>\w+)\))?(?:  .*)?$")

each_class = pytest.mark.parametrize("error", CLASSES, ids=lambda error: error.__name__)


def drawn(docstring: str) -> dict[str, str]:
    """Each class of a drawing, with its base classes."""
    parents = {-1: "Exception"}
    found: dict[str, str] = {}
    for line in docstring.splitlines():
        if match := LINE.match(line):
            depth = len(match["indent"]) // 4
            name = match["name"]
            base = parents[depth - 1]
            found[name] = f"{base}, {match['also']}" if match["also"] else base
            parents[depth] = name
    return found


def test_the_drawing_shows_the_classes_and_their_bases() -> None:
    assert errors.__doc__ is not None
    assert drawn(errors.__doc__) == {
        error.__name__: ", ".join(base.__name__ for base in error.__bases__) for error in CLASSES
    }


def test_the_base_classes_of_a_drawing_are_read() -> None:
    """Control of `drawn`."""
    drawing = "Text.\n\n    A\n    ├── B (ValueError)   why\n    │   └── C\n    └── D\n\nMore text."
    assert drawn(drawing) == {"A": "Exception", "B": "A, ValueError", "C": "B", "D": "A"}


@each_class
def test_the_docstring_is_the_message(error: type[TaskcoreError]) -> None:
    assert error.__doc__
    assert str(error()) == inspect.cleandoc(error.__doc__)
    assert str(error("Something else.")) == "Something else."


@each_class
def test_every_message_is_one_line(error: type[TaskcoreError]) -> None:
    assert "\n" not in str(error())


def test_an_outcome_is_known_unless_it_is_marked_unknown() -> None:
    assert not DatabaseUnavailable().outcome_unknown
    assert DatabaseUnavailable(outcome_unknown=True).outcome_unknown


def test_invalid_input_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="not valid"):
        raise InvalidInput
