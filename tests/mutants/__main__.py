"""Mutation testing, one module at a time: `nox -s mutants -- claims token`, or all of them.

Each module is changed in a copy of the tree, one small change after another, and its tests have to
fail. A mutant that survives has to be killed by a new test, or listed in accepted.toml.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
MODULES: dict[str, Any] = tomllib.loads((HERE / "modules.toml").read_text())
# Annotations are not evaluated, so a `|` between types can become any operator without effect.
ANNOTATIONS = r"core/ReplaceBinaryOperator_BitOr_.*"
SECONDS = 120.0


class Mutant(NamedTuple):
    """One change, by its lines before and after."""

    module: str
    before: str
    after: str


def accepted() -> dict[Mutant, str]:
    listed = tomllib.loads((HERE / "accepted.toml").read_text()).get("mutant", [])
    return {Mutant(one["module"], one["before"], one["after"]): one["reason"] for one in listed}


def copy_of_the_tree(place: Path) -> Path:
    ignored = shutil.ignore_patterns("__pycache__", "node_modules", "*.egg-info", ".*")
    for name in ("packages", "tests"):
        shutil.copytree(ROOT / name, place / name, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", place)
    shutil.copy(ROOT / "noxfile.py", place)
    shutil.copy(ROOT / "README.md", place)
    return place


def run(name: str, place: Path) -> list[Mutant]:
    """Try all mutants of a module; return those that survived."""
    module = MODULES[name]
    sources = (
        str(place / "packages" / each / "src") for each in ("taskcore", "taskapi", "taskcli")
    )
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sources),
        "PYTHONDONTWRITEBYTECODE": "1",
        "TASKCORE_TEST_PROFILE": "quick",
    }
    pytest = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
    command = [*pytest, *module["tests"]]
    # The control: without a change, the tests pass.
    subprocess.run(command, cwd=place, env=environment, check=True, stdout=subprocess.DEVNULL)

    config, session = place / "mutants.toml", place / f"{name}.sqlite"
    config.write_text(
        "[cosmic-ray]\n"
        f"module-path = {json.dumps(module['path'])}\n"
        f"timeout = {SECONDS}\n"
        f"test-command = {json.dumps(' '.join(command))}\n"
        '[cosmic-ray.distributor]\nname = "local"\n'
        f'[cosmic-ray.filters.operators-filter]\nexclude-operators = ["{ANNOTATIONS}"]\n'
    )
    for step in (
        ["cosmic-ray", "init", config, session],
        ["cr-filter-operators", session, config],
        ["cosmic-ray", "exec", config, session],
    ):
        subprocess.run([str(word) for word in step], cwd=place, env=environment, check=True)
    return list(survivors(name, session))


def survivors(name: str, session: Path) -> Iterator[Mutant]:
    with sqlite3.connect(session) as database:
        outcomes = database.execute(
            "SELECT worker_outcome, test_outcome, diff FROM work_results ORDER BY job_id"
        ).fetchall()
    tried = [row for row in outcomes if "SKIPPED" not in str(row[0]).upper()]
    lived = [row for row in tried if "SURVIVED" in str(row[1]).upper()]
    print(f"{name}: {len(tried)} mutants, {len(lived)} survived")
    for _, _, diff in lived:
        lines = [line for line in diff.splitlines() if not line.startswith(("---", "+++"))]
        before = " ".join(line[1:].strip() for line in lines if line.startswith("-"))
        after = " ".join(line[1:].strip() for line in lines if line.startswith("+"))
        yield Mutant(name, before, after)


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in MODULES]
    if unknown:
        print(f"no such module: {', '.join(unknown)}; there are {', '.join(MODULES)}")
        return 2
    left: list[Mutant] = []
    reasons = accepted()
    with tempfile.TemporaryDirectory() as directory:
        place = copy_of_the_tree(Path(directory))
        for name in names or list(MODULES):
            started = monotonic()
            left += [mutant for mutant in run(name, place) if mutant not in reasons]
            print(f"{name}: {monotonic() - started:.0f} s", flush=True)
    for mutant in left:
        print(f"survived in {mutant.module}:\n- {mutant.before}\n+ {mutant.after}")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
