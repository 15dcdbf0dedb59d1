"""On a Python that is too old, the README's two commands end with one sentence that says so."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib.metadata import metadata
from pathlib import Path

import pytest

NOXFILE = Path(__file__).parents[2] / "noxfile.py"
# The noxfile up to where it would need the real nox, on a Python that says that it is another.
PRETENDING = """
import runpy, sys, types
sys.modules["nox"] = types.ModuleType("nox")
sys.version_info = ({}, "final", 0)
runpy.run_path({!r})
"""


@pytest.mark.parametrize("name", ["taskcore", "taskapi", "taskcore-cli"])
def test_pip_is_told_which_pythons_will_do(name: str) -> None:
    assert metadata(name)["Requires-Python"] == ">=3.11"


def run_on(version: str) -> str:
    program = PRETENDING.format(version, str(NOXFILE))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 1
    return done.stderr


def test_nox_says_that_python_is_too_old() -> None:
    assert run_on("3, 10, 13") == (
        "Python 3.11 or newer is needed, and this is 3.10.13: make .venv with a newer one.\n"
    )


def test_a_python_that_will_do_gets_further() -> None:
    """The control."""
    assert "Python 3.11 or newer" not in run_on("3, 11, 0")


def test_an_old_python_can_read_the_sentence_at_all() -> None:
    ast.parse(NOXFILE.read_text(), feature_version=(3, 8))
