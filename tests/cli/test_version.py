"""`--version` prints the version of the distribution."""

import subprocess
import sys
from importlib.metadata import version


def test_version() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "taskcli", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"taskcli {version('taskcore-cli')}\n"
