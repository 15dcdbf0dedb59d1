"""The mutants of a module: cosmic-ray's small changes, without those that change nothing."""

from __future__ import annotations

import ast
import difflib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

from mutants.sql import ReplaceSql

_NEVER_RAISED = "StopAsyncIteration"


class Mutant(NamedTuple):
    """One change, by its lines before and after, and the module's code with it."""

    function: str
    before: str
    after: str
    code: str


def mutants(file: Path) -> Iterator[Mutant]:
    """Yield every mutant that compiles and could behave differently, in the order of the lines."""
    source = file.read_text()
    behaviour = _behaviour(source)
    several = [
        (_changed_line(source, code), code)
        for code in dict.fromkeys(_mutated(source))
        if _behaviour(code) not in (None, behaviour)
    ]
    for line, code in sorted(several, key=lambda one: one[0]):
        yield Mutant(_function_at(line, source), *_lines(source, code), code)


def _mutated(source: str) -> Iterator[str]:
    nodes = list(ast_nodes(get_ast(source)))
    classes = [get_operator(name) for name in operator_names()]
    # Those with arguments need a configuration, such as the names of variables.
    operators = [cls() for cls in classes if not cls.arguments()]
    for operator in [*operators, ReplaceSql()]:
        positions = sum(len(list(operator.mutation_positions(node))) for node in nodes)
        for occurrence in range(positions):
            code = mutate_code(source, operator, occurrence)
            if code is not None:
                # Its own exception is not imported, so that every `except` with it would fail.
                yield code.replace("CosmicRayTestingException", _NEVER_RAISED)


def _behaviour(code: str) -> str | None:
    """What the code does, without what is never evaluated; None if it is no Python.

    Annotations are not evaluated, so a `|` in one can become any operator. And cosmic-ray takes the
    `*` before keyword-only parameters for a multiplication, and makes it a `/`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # `is` with a number, say: the tests decide
            compile(code, "mutant", "exec")
            tree = ast.parse(code)
    except SyntaxError:
        return None
    nothing = ast.Constant(value=None)
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            node.value = nothing  # a docstring
        elif isinstance(node, ast.AnnAssign):
            node.annotation = nothing
        elif isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
        elif isinstance(node, ast.arguments):
            several = [*node.posonlyargs, *node.args, *node.kwonlyargs]
            defaults = [*node.defaults, *(value or nothing for value in node.kw_defaults)]
            node.posonlyargs, node.args, node.kwonlyargs = [], several, []
            node.defaults = [value for value in defaults if value is not nothing]
            node.kw_defaults = []
    return ast.dump(tree)


def _lines(source: str, code: str) -> tuple[str, str]:
    """The changed lines, before and after."""
    compared = list(difflib.ndiff(source.splitlines(), code.splitlines()))
    before, after = (
        " ".join(line[2:].strip() for line in compared if line.startswith(sign))
        for sign in ("- ", "+ ")
    )
    return before, after


def _changed_line(source: str, code: str) -> int:
    """The number of the first line that differs, from 1 on."""
    pairs = zip(source.splitlines(), code.splitlines(), strict=False)
    return next((number for number, (one, other) in enumerate(pairs, 1) if one != other), 1)


def _function_at(line: int, source: str) -> str:
    """The name of the innermost function around this line; empty outside of all."""
    around = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.lineno <= line <= (node.end_lineno or 0)
    ]
    return max(around, key=lambda node: node.lineno).name if around else ""
