"""The arrows between the packages, where the waiting is done, and who looks at the environment."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGES = Path(__file__).parents[2] / "packages"
SOURCES = {
    path.relative_to(path.parents[len(path.relative_to(PACKAGES).parts) - 3]).as_posix(): path
    for path in sorted(PACKAGES.glob("*/src/**/*.py"))
}
