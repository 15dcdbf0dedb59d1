"""Operations: the owner first, only `yield from`, never None, neither time nor randomness.

Each rule is a function that returns the breaches in a source; each is also tested on bad sources.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

import taskcore

CORE = Path(taskcore.__file__).parent
# The only function that yields a query; all others use `yield from`.
PRIMITIVE = "rows"
TIME_AND_RANDOMNESS = {"datetime", "date", "os", "random", "secrets", "time", "uuid"}
CALLS = {"new_task_id", "now", "today", "utcnow", "urandom", "uuid1", "uuid4", "uuid7", "token_hex"}

Rule: TypeAlias = Callable[[str], list[str]]


def _functions(source: str, kind: str) -> Iterator[ast.FunctionDef]:
    """The functions of a source that return a `kind[...]`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and _result(node).startswith(f"{kind}["):
            yield node


def _result(function: ast.FunctionDef) -> str:
    return ast.unparse(function.returns).strip("'") if function.returns else ""


def _own(function: ast.FunctionDef) -> Iterator[ast.AST]:
    """The nodes of a function, without those of the functions that it defines."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.Lambda):
            waiting += ast.iter_child_nodes(node)


def owner_is_not_first(source: str) -> list[str]:
    """The operations and steps whose first argument is not `owner: str`."""
    functions = [*_functions(source, "Op"), *_functions(source, "Steps")]
    first = {function.name: function.args.args[:1] for function in functions}
    return [
        name
        for name, found in first.items()
        if not found
        or found[0].arg != "owner"
        or ast.unparse(found[0].annotation or found[0]) != "str"
    ]


def run_as_another(source: str) -> list[str]:
    """The `Op`s that are made for another owner than the operation's argument."""
    calls = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    made = [call for call in calls if ast.unparse(call.func) == "Op"]
    return [ast.unparse(op) for op in made if not op.args or ast.unparse(op.args[0]) != "owner"]


def bare_yields(source: str) -> list[str]:
    return [
        function.name
        for function in _functions(source, "Steps")
        if any(isinstance(node, ast.Yield) for node in _own(function))
    ]


def unused_steps(source: str) -> list[str]:
    """The steps that are made and never run, because `yield from` is missing."""
    steps = {function.name for function in _functions(source, "Steps")} | {"rows", "first"}
    tree = ast.parse(source)
    run = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.YieldFrom)}
    return [
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in steps
        and id(node) not in run
    ]


def returns_none(source: str) -> list[str]:
    found = []
    for function in [*_functions(source, "Op"), *_functions(source, "Steps")]:
        returns = [node for node in _own(function) if isinstance(node, ast.Return)]
        values = [node.value for node in returns]
        nothing = any(value is None or ast.unparse(value) == "None" for value in values)
        says = ast.parse(_result(function), mode="eval")
        none = any(isinstance(node, ast.Constant) and node.value is None for node in ast.walk(says))
        never = _result(function).endswith("[Never]")
        if nothing or none or _falls_off(function.body) or not (returns or never):
            found.append(function.name)
    return found


def _falls_off(body: list[ast.stmt]) -> bool:
    """Whether these statements can end without a return or a raise."""
    last = body[-1]
    if isinstance(last, ast.If):
        return not last.orelse or _falls_off(last.body) or _falls_off(last.orelse)
    forever = isinstance(last, ast.While) and ast.unparse(last.test) == "True"
    return not (forever or isinstance(last, ast.Return | ast.Raise))


def time_or_randomness(source: str) -> list[str]:
    """The calls that would make a second run of an operation different from the first."""
    found = []
    for function in _functions(source, "Steps"):
        for node in _own(function):
            if isinstance(node, ast.Call):
                parts = ast.unparse(node.func).split(".")
                if parts[0] in TIME_AND_RANDOMNESS or parts[-1] in CALLS:
                    found.append(ast.unparse(node))
    return found


# Each rule, and sources that break it.
RULES: dict[Rule, list[str]] = {
    owner_is_not_first: [
        "def get(task: UUID, owner: str) -> Op[A]: return Op(owner, _get, ())",
        "def _get() -> Steps[A]: return (yield from rows(_GET))",
        "def _get(owner: int) -> Steps[A]: return (yield from rows(_GET))",
    ],
    run_as_another: ["def get(owner: str, other: str) -> Op[A]: return Op(other, _get, ())"],
    bare_yields: ["def _get(owner: str) -> Steps[A]:\n    return (yield Query(_GET, {}))"],
    unused_steps: [
        "def _get(owner: str) -> Steps[A]:\n    rows(_GET, owner=owner)\n    return []",
        "def _get(owner: str) -> Steps[A]:\n    return _gone(owner)\n"
        "def _gone(owner: str) -> 'Steps[A]': ...",
    ],
    returns_none: [
        "def _get(owner: str) -> Steps[None]:\n    return (yield from rows(_GET))",
        "def get(owner: str) -> Op[A | None]:\n    return Op(owner, _get, ())",
        "def _get(owner: str) -> Steps[A]:\n    yield from rows(_GET)\n    return",
        "def _get(owner: str) -> Steps[A]:\n    yield from rows(_GET)",
        "def _get(owner: str) -> Steps[A]:\n    if (yield from rows(_GET)):\n        return 1",
    ],
    time_or_randomness: [
        "def _get(owner: str) -> Steps[A]:\n    return (yield from rows(_GET, id=uuid4()))",
        "def _get(owner: str) -> Steps[A]:\n    return (yield from rows(_GET, at=time.time()))",
        "def _get(owner: str) -> Steps[A]:\n    return (yield from rows(_GET, id=new_task_id()))",
        "def _get(owner: str) -> Steps[A]:\n    return (yield from rows(_G, t=datetime.now(UTC)))",
    ],
}
OPERATIONS = (CORE / "tasks" / "operations.py").read_text()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_operations_obey_the_rule(rule: Rule) -> None:
    assert rule(OPERATIONS) == []


@pytest.mark.parametrize(
    ("rule", "bad"), [(rule, bad) for rule, sources in RULES.items() for bad in sources]
)
def test_the_rule_finds_a_breach(rule: Rule, bad: str) -> None:
    assert len(rule(bad)) == 1


def test_all_operations_and_steps_are_found() -> None:
    operations = {function.name for function in _functions(OPERATIONS, "Op")}
    public = {
        node.name
        for node in ast.parse(OPERATIONS).body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    }
    assert operations == public
    assert public <= set(taskcore.__all__)
    assert len(public) == 7
    steps = {function.name for function in _functions(OPERATIONS, "Steps")}
    assert {f"_{name}" for name in public} <= steps, "an operation's name is that of its steps"


def test_only_rows_yields_in_taskcore() -> None:
    found = {
        path.relative_to(CORE).as_posix(): bare_yields(path.read_text())
        for path in sorted(CORE.glob("**/*.py"))
    }
    assert {name: functions for name, functions in found.items() if functions} == {
        "execution/op.py": [PRIMITIVE]
    }


def test_the_operations_contain_no_bare_yield() -> None:
    assert not [node for node in ast.walk(ast.parse(OPERATIONS)) if isinstance(node, ast.Yield)]
