"""Each distribution declares the packages that its sources import, and no others."""

from __future__ import annotations

import ast
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PACKAGES = Path(__file__).parents[2] / "packages"
FOLDERS = ("taskcore", "taskapi", "taskcli")
OURS = {"taskcore": "taskcore", "taskapi": "taskapi", "taskcli": "taskcore-cli"}
# Declared but not imported by us, with the reason.
NOT_IMPORTED: dict[str, dict[str, str]] = {
    "taskcore": {},
    "taskapi": {
        "httptools": "uvicorn takes it as its HTTP parser if it is installed",
        "uvloop": "uvicorn takes it as its event loop if it is installed",
    },
    "taskcli": {},
}


def imported(sources: list[str]) -> set[str]:
    """The top-level packages that sources import, without the standard library."""
    found = set()
    for source in sources:
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                found.add(node.module.partition(".")[0])
    return found - sys.stdlib_module_names


def distributions(packages: set[str], folder: str) -> set[str]:
    """The distributions of these packages, without the folder's own."""
    names = {**packages_distributions(), **{name: [dist] for name, dist in OURS.items()}}
    names["opentelemetry"] = ["opentelemetry-api"]  # several distributions share the package
    return {str(canonicalize_name(names[package][0])) for package in packages - {folder}}


def declared(folder: str) -> set[str]:
    project = tomllib.loads((PACKAGES / folder / "pyproject.toml").read_text())["project"]
    extras = project.get("optional-dependencies", {}).values()
    lines = [*project["dependencies"], *(line for extra in extras for line in extra)]
    names = {str(canonicalize_name(Requirement(line).name)) for line in lines}
    return names - {canonicalize_name(project["name"])}


def sources(folder: str) -> list[str]:
    return [path.read_text() for path in (PACKAGES / folder / "src").glob("**/*.py")]


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_declared_packages_are_the_imported_ones(folder: str) -> None:
    wanted = distributions(imported(sources(folder)), folder)
    assert declared(folder) == wanted | NOT_IMPORTED[folder].keys()


def test_an_undeclared_import_is_found() -> None:
    found = imported(["import httpx\ndef f():\n    from rich.table import Table\n    import os"])
    assert found == {"httpx", "rich"}
    assert distributions(found, "taskcore") == {"httpx", "rich"}
    assert not found & declared("taskcore")
