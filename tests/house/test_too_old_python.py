"""On a Python that is too old, the README's commands end with one sentence that says so."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib.metadata import metadata
from pathlib import Path

import pytest

NOXFILE = Path(__file__).parents[2] / "noxfile.py"
# Runs the noxfile with an empty nox module, on a Python that reports another version.
RUN_WITH_VERSION = """
import runpy, sys, types
sys.modules["nox"] = types.ModuleType("nox")
sys.version_info = ({}, "final", 0)
runpy.run_path({!r})
"""


@pytest.mark.parametrize("name", ["taskcore", "taskapi", "taskcore-cli"])
def test_the_distributions_declare_the_python_that_they_need(name: str) -> None:
    assert metadata(name)["Requires-Python"] == ">=3.11"


def run_on(version: str) -> str:
    program = RUN_WITH_VERSION.format(version, str(NOXFILE))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 1
    return done.stderr


def test_nox_says_that_python_is_too_old() -> None:
    assert run_on("3, 10, 13") == (
        "Python 3.11 or newer is needed, and this is 3.10.13: make .venv with a newer one.\n"
    )


def test_a_supported_python_gets_further() -> None:
    """Control: the sentence depends on the version."""
    assert "Python 3.11 or newer" not in run_on("3, 11, 0")


def test_an_old_python_can_parse_the_noxfile() -> None:
    ast.parse(NOXFILE.read_text(), feature_version=(3, 8))
