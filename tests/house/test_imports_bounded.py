"""What `import taskcore` brings into another program, and what its pytest plugin does.

Alembic, FastAPI, Rich and the like are imported by the parts that need them, so that a service pays
for operations only.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "packages" / "taskcore" / "src"
# The packages that come with it.
BROUGHT = {
    "annotated_types",
    "greenlet",
    "psycopg",
    "psycopg_binary",
    "pydantic",
    "pydantic_core",
    "sqlalchemy",
    "sqlmodel",
    "taskcore",
    "typing_extensions",
    "typing_inspection",
}
# 504 on CPython 3.11, the standard library included.
MOST_MODULES = 560

PROGRAM = """
import json, sys
exec(sys.argv[1])
before = set(sys.modules)
exec(sys.argv[2])
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def imported(statement: str, *, after: str = "") -> set[str]:
    """The modules that a statement brings into a new interpreter, after another statement."""
    path = os.pathsep.join([str(SOURCE), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, after, statement],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


def packages(modules: set[str]) -> set[str]:
    """The packages beside the standard library, without the helpers of compiled ones."""
    found = {name.partition(".")[0] for name in modules} - sys.stdlib_module_names
    return {name for name in found if not name.startswith(("_", "cython_runtime"))}


def test_importing_taskcore_brings_the_listed_packages_only() -> None:
    modules = imported("import taskcore")
    assert packages(modules) == BROUGHT
    assert len(modules) <= MOST_MODULES


@pytest.mark.parametrize(
    ("statement", "package"),
    [
        ("from taskcore import migrations", "alembic"),
        ("import taskapi.app", "fastapi"),
        ("import rich", "rich"),
    ],
)
def test_a_package_that_is_not_listed_would_be_seen(statement: str, package: str) -> None:
    """Control."""
    assert package in packages(imported(statement, after="import taskcore"))


def test_the_pytest_plugin_brings_nothing_until_a_fixture_is_used() -> None:
    modules = imported("import taskcore_pytest", after="import pytest")
    assert packages(modules) == {"taskcore_pytest"}
