"""Importing the core looks at no setting in the environment, not even through a library."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

CORE = Path(__file__).parents[2] / "packages/taskcore/src"
# Alembic runs the one, `python -m` the other: neither is there to be imported.
RUN_BY_OTHERS = ("env", "__main__")

# Each class statement of a model makes pydantic look for its own switch.
A_LIBRARYS_OWN = "PYDANTIC_DISABLE_PLUGINS"

# A library may look when it is imported itself, but not on behalf of one of our modules: between
# the look and the import that is going on stands no frame of ours.
LOOKOUT = """
import importlib, json, os, sys

ours, modules = json.loads(sys.argv[1])
seen = []

class Watched(type(os.environ)):
    def __getitem__(self, key):
        frame = sys._getframe(1)
        while frame and not frame.f_globals.get("__name__", "").startswith("importlib"):
            name = frame.f_globals.get("__name__", "")
            if name.partition(".")[0] in ours:
                seen.append([name, str(key)])
                break
            frame = frame.f_back
        return super().__getitem__(key)

os.environ.__class__ = Watched
for module in modules:
    importlib.import_module(module)
print(json.dumps(seen))
"""


def modules(source: Path) -> list[str]:
    found = [path.relative_to(source).with_suffix("").parts for path in source.glob("**/*.py")]
    names = (".".join(parts) for parts in found if parts[-1] not in RUN_BY_OTHERS)
    return sorted(name.removesuffix(".__init__") for name in names)


def looks(source: Path) -> list[list[str]]:
    """Which module looked at what, when all were imported in a new interpreter."""
    names = modules(source)
    ours = sorted({name.partition(".")[0] for name in names})
    path = os.pathsep.join([str(source), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", LOOKOUT, json.dumps([ours, names])],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    found: list[list[str]] = json.loads(done.stdout.splitlines()[-1])
    return [[module, variable] for module, variable in found if variable != A_LIBRARYS_OWN]


def test_importing_the_core_looks_at_nothing() -> None:
    assert {"taskcore", "taskcore.migrations", "taskcore.embedded.server"} <= set(modules(CORE))
    assert looks(CORE) == []


def test_a_look_is_seen(tmp_path: Path) -> None:
    (tmp_path / "badly").mkdir()
    (tmp_path / "badly/__init__.py").write_text("import os\nURL = os.environ.get('A')\n")
    (tmp_path / "badly/through.py").write_text(
        "from pydantic_settings import BaseSettings\n"
        "class S(BaseSettings):\n    home: str = ''\n\nS()\n"
    )
    (tmp_path / "badly/later.py").write_text("import os\ndef f():\n    return os.environ['B']\n")
    found = looks(tmp_path)
    assert ["badly", "A"] in found
    assert any(module == "badly.through" for module, _ in found)
    assert not any(module == "badly.later" for module, _ in found)
