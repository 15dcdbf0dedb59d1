"""The README's first command runs unchanged in a copy of the tree and leads to an HTTP answer."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from support.polling import wait_until
from taskcore import embedded

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
TIMEOUT = 300.0


def test_the_first_command_leads_to_an_answer(tmp_path: Path) -> None:
    found = re.search(r"^```sh\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None
    here = tmp_path / "copy"
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "packages", here / "packages", ignore=ignored)
    # The only change: a port that the kernel chooses.
    command = f"{found[1].strip()} --port 0"
    # `python3` must be the system's, as for a reader of the README, not that of this environment.
    python = Path(sys.base_prefix, "bin")
    kept = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    environment = {**kept, "PATH": f"{python}{os.pathsep}{os.environ['PATH']}"}
    log = tmp_path / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            ["sh", "-c", command],
            cwd=here,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            process_group=0,
        )
    try:
        tries: list[str] = []

        def started() -> bool:
            output = log.read_text()
            assert process.poll() is None, output
            tries[:] = re.findall(r"^try +(curl .*)\n", output, re.MULTILINE)
            return bool(tries)

        wait_until(started, "the box that `taskcli dev` prints", timeout=TIMEOUT)
        answer = subprocess.run(
            shlex.split(tries[0]), capture_output=True, text=True, check=True, timeout=60
        )
        assert {task["user_id"] for task in json.loads(answer.stdout)} == {"demo"}
        os.killpg(process.pid, signal.SIGINT)
        process.wait(60)
        assert "both servers have stopped" in log.read_text()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(60)
        embedded.erase(here / ".taskdata")
