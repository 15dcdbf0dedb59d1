"""Importing taskcore reads no setting from the environment, not even through a library."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

CORE = Path(__file__).parents[2] / "packages/taskcore/src"
# Not made to be imported: Alembic runs `env`, and `python -m` runs `__main__`.
NOT_IMPORTED = ("env", "__main__")

# pydantic reads this switch of its own whenever a model class is defined.
PYDANTICS_SWITCH = "PYDANTIC_DISABLE_PLUGINS"

# A library may read the environment while it is imported itself, but not while it is called by one
# of our modules. So a read counts if a frame of ours is between it and the running import.
WATCH = """
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
    names = (".".join(parts) for parts in found if parts[-1] not in NOT_IMPORTED)
    return sorted(name.removesuffix(".__init__") for name in names)


def reads(source: Path) -> list[list[str]]:
    """Import all modules in a new interpreter; return which module read which variable."""
    names = modules(source)
    ours = sorted({name.partition(".")[0] for name in names})
    path = os.pathsep.join([str(source), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", WATCH, json.dumps([ours, names])],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    found: list[list[str]] = json.loads(done.stdout.splitlines()[-1])
    return [[module, variable] for module, variable in found if variable != PYDANTICS_SWITCH]


def test_importing_taskcore_reads_nothing() -> None:
    assert {"taskcore", "taskcore.migrations", "taskcore.embedded.server"} <= set(modules(CORE))
    assert reads(CORE) == []


def test_a_read_is_found(tmp_path: Path) -> None:
    (tmp_path / "badly").mkdir()
    (tmp_path / "badly/__init__.py").write_text("import os\nURL = os.environ.get('A')\n")
    (tmp_path / "badly/through.py").write_text(
        "from pydantic_settings import BaseSettings\n"
        "class S(BaseSettings):\n    home: str = ''\n\nS()\n"
    )
    (tmp_path / "badly/later.py").write_text("import os\ndef f():\n    return os.environ['B']\n")
    found = reads(tmp_path)
    assert ["badly", "A"] in found
    assert any(module == "badly.through" for module, _ in found)
    assert not any(module == "badly.later" for module, _ in found)
