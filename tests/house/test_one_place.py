"""SQLSTATEs, and the names of the second lock, are in one module each.

Each rule is a function that returns the breaches in a source; each is also tested on bad sources.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from psycopg import errors

from taskcore import tenancy

PACKAGES = Path(__file__).parents[2] / "packages"
CORE = PACKAGES / "taskcore" / "src" / "taskcore"
VERSIONS = sorted((CORE / "migrations" / "versions").glob("r*.py"))
OURS = ("taskcore", "taskapi", "taskcli")
# The names of the second lock. Docstrings are not searched, because sentences may contain a name.
NAMES = {
    tenancy.TENANT_ROLE,
    tenancy.OWNER_SETTING,
    tenancy.VERSION_TABLE,
    tenancy.USERS_TABLE_SETTING,
    tenancy.FOREIGN_KEY,
}


def sources(*but: Path) -> list[Path]:
    found = [path for path in PACKAGES.glob("*/src/**/*.py") if path.parent.name != "versions"]
    return sorted(path for path in found if path not in but)


def literals(source: str) -> list[str]:
    """The strings and bytes of a source, docstrings left out."""
    tree = ast.parse(source)
    documentation = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in documentation:
            if isinstance(node.value, bytes):
                found.append(node.value.decode(errors="replace"))
            elif isinstance(node.value, str):
                found.append(node.value)
    return found


def sqlstates(source: str) -> list[str]:
    """The literals that are an SQLSTATE, of PostgreSQL or of ours."""
    known = {tenancy.REFUSED_SQLSTATE}
    known |= {
        str(error.sqlstate)
        for error in vars(errors).values()
        if isinstance(error, type) and issubclass(error, errors.Error) and error.sqlstate
    }
    return [text for text in literals(source) if text in known]


def repeated_names(source: str) -> list[str]:
    pattern = re.compile("|".join(rf"\b{re.escape(name)}\b" for name in sorted(NAMES)))
    return [name for text in literals(source) for name in pattern.findall(text)]


def own_imports(source: str) -> list[str]:
    """The imports of modules of ours, relative ones included."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.split(".")[0] in OURS]
        elif isinstance(node, ast.ImportFrom):
            name = "." * node.level + (node.module or "")
            if node.level or name.split(".")[0] in OURS:
                found.append(name)
    return found


@pytest.mark.parametrize(
    "path",
    sources(CORE / "execution" / "sqlstates.py", CORE / "tenancy.py"),
    ids=lambda path: f"{path.parent.name}/{path.name}",
)
def test_only_one_module_reads_sqlstates(path: Path) -> None:
    assert sqlstates(path.read_text()) == []


@pytest.mark.parametrize(
    "path",
    sources(CORE / "tenancy.py"),
    ids=lambda path: f"{path.parent.name}/{path.name}",
)
def test_names_of_the_second_lock_are_in_one_module(path: Path) -> None:
    assert repeated_names(path.read_text()) == []


@pytest.mark.parametrize("path", [*VERSIONS, CORE / "tenancy.py"], ids=lambda path: path.name)
def test_a_revision_and_the_definitions_of_today_import_nothing_of_ours(path: Path) -> None:
    assert own_imports(path.read_text()) == []


def test_the_revisions_are_found() -> None:
    assert len(VERSIONS) >= 3


def test_a_breach_of_each_rule_is_found() -> None:
    assert set(sqlstates('"""42501"""\nif error == "42501" or b"0A000": pass')) == {
        "42501",
        "0A000",
    }
    assert sqlstates((CORE / "execution" / "sqlstates.py").read_text())
    assert repeated_names('f"SET ROLE taskcore_tenant"') == ["taskcore_tenant"]
    assert set(repeated_names((CORE / "tenancy.py").read_text())) >= {tenancy.TENANT_ROLE}
    assert own_imports("from taskcore.tenancy import X\nfrom . import y\nimport taskcore.urls") == [
        "taskcore.tenancy",
        ".",
        "taskcore.urls",
    ]
