"""The direction of imports, the modules that wait, and the time when the environment is read.

Each rule is a function that returns the breaches in a source; each is also tested on bad sources.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGES = Path(__file__).parents[2] / "packages"
PATHS = {
    "/".join(path.relative_to(PACKAGES).parts[2:]): path
    for path in sorted(PACKAGES.glob("*/src/**/*.py"))
}
HTTP = {"fastapi", "starlette", "uvicorn", "httpx"}
TERMINAL = {"typer", "rich", "click"}
FORBIDDEN = {
    "taskcore": HTTP | TERMINAL | {"taskapi", "taskcli"},
    "taskapi": TERMINAL | {"taskcli"},
    "taskcli": set[str](),
}
WAITING = {
    "taskcore/execution/connection.py",
    "taskcore/execution/database.py",
    "taskcore/execution/loop_pool.py",
    "taskcore/execution/session.py",
}

every_source = pytest.mark.parametrize("name", PATHS)


def imports(source: str) -> set[str]:
    """The packages that a source imports, in any place and in any way."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(node.module or "")
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = ast.unparse(node.func).rpartition(".")[2]
            found |= (
                {str(node.args[0].value)} if called in ("import_module", "__import__") else set()
            )
    return {name.partition(".")[0] for name in found}


def waits(source: str) -> list[int]:
    """The lines of a source that await, or belong to a function that may."""
    kinds = (ast.Await, ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith)
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, kinds)
        or (
            isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp)
            and any(loop.is_async for loop in node.generators)
        )
    ]


def _at_import(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes that run when the module is imported: all but the bodies of functions."""
    yield node
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        defaults = [default for default in node.args.kw_defaults if default]
        inner: list[ast.AST] = [*node.decorator_list, *node.args.defaults, *defaults]
    elif isinstance(node, ast.Lambda):
        inner = [*node.args.defaults]
    else:
        inner = list(ast.iter_child_nodes(node))
    for child in inner:
        yield from _at_import(child)


def environment_at_import(source: str) -> list[int]:
    """The lines that read the environment when the module is imported."""
    names = {"environ", "environb", "getenv", "getenvb", "load_dotenv"}
    return [
        node.lineno
        for node in _at_import(ast.parse(source))
        if (isinstance(node, ast.Attribute) and node.attr in names)
        or (isinstance(node, ast.Name) and node.id in names)
    ]


def test_the_sources_of_all_three_packages_are_found() -> None:
    assert {name.partition("/")[0] for name in PATHS} == set(FORBIDDEN)
    assert set(PATHS) >= WAITING


@every_source
def test_imports_point_one_way(name: str) -> None:
    assert not imports(PATHS[name].read_text()) & FORBIDDEN[name.partition("/")[0]]


@pytest.mark.parametrize(
    "bad",
    [
        "import fastapi.routing",
        "from taskcli.serve import serve",
        "def f():\n    import click",
        "import importlib\nimportlib.import_module('taskapi.app')",
        "__import__('rich')",
    ],
)
def test_a_wrong_import_is_found(bad: str) -> None:
    assert imports(bad) & FORBIDDEN["taskcore"]
    assert imports("from . import click\nfrom .fastapi import x\nimport psycopg") == {"psycopg"}


@pytest.mark.parametrize("name", [name for name in PATHS if name.startswith("taskcore/")])
def test_the_core_waits_in_its_drivers_only(name: str) -> None:
    assert name in WAITING or not waits(PATHS[name].read_text())


@pytest.mark.parametrize(
    "bad",
    [
        "async def f(): pass",
        "async def f():\n    await g()",
        "async def f():\n    return [x async for x in y]",
        "async def f():\n    async with x: pass",
    ],
)
def test_waiting_is_found(bad: str) -> None:
    assert waits(bad)
    assert waits(PATHS["taskcore/execution/database.py"].read_text())
    assert not waits("def f():\n    return [x for x in y]")


@every_source
def test_no_source_reads_the_environment_at_import(name: str) -> None:
    assert not environment_at_import(PATHS[name].read_text())


@pytest.mark.parametrize(
    "bad",
    [
        "import os\nURL = os.environ['URL']",
        "import os\ndef f(url=os.getenv('URL')): pass",
        "from os import environ\nclass C:\n    url = environ.get('URL')",
        "if True:\n    load_dotenv()",
        "import os\n@g(os.environ)\ndef f(): pass",
    ],
)
def test_a_read_at_import_is_found(bad: str) -> None:
    assert environment_at_import(bad)
    assert not environment_at_import("import os\ndef f():\n    return os.environ['URL']")
