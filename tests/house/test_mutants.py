"""`nox -s mutants` names files that exist, changes all of `auth/`, and gives reasons."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "tests" / "mutants"
MODULES: dict[str, Any] = tomllib.loads((FOLDER / "modules.toml").read_text())
ACCEPTED: list[dict[str, Any]] = tomllib.loads((FOLDER / "accepted.toml").read_text())["mutant"]


def missing(names: list[str]) -> list[str]:
    return [name for name in names if not (ROOT / name).is_file()]


def test_the_named_files_exist() -> None:
    for module in MODULES.values():
        assert missing([module["path"], *module["tests"]]) == []
    assert missing(["tests/core/test_nothing.py"]) == ["tests/core/test_nothing.py"]


def test_every_module_of_authentication_is_changed() -> None:
    folder = ROOT / "packages/taskapi/src/taskapi/auth"
    there = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    assert there
    assert there <= MODULES.keys()


def test_an_accepted_mutant_changes_a_line_of_its_module_and_has_a_reason() -> None:
    for mutant in ACCEPTED:
        lines = (ROOT / MODULES[mutant["module"]]["path"]).read_text().splitlines()
        assert mutant["before"] in [line.strip() for line in lines]
        assert mutant["before"] not in mutant["after"]
        assert mutant["reason"]
