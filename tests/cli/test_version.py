"""The command starts, and says which version it is."""

import subprocess
import sys
from importlib.metadata import version


def test_version() -> None:
    said = subprocess.run(
        [sys.executable, "-m", "taskcli", "--version"], capture_output=True, text=True, check=True
    )
    assert said.stdout == f"taskcli {version('taskcore-cli')}\n"
