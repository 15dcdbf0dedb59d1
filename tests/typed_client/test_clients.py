"""Clients that three generators make of the OpenAPI document, strictly typed, use all endpoints.

They are run by name, after their build: `nox -s typed_client`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.api_server import Api, token

FOLDER = Path(__file__).parent
PACKAGE = FOLDER / "build" / "python" / "taskapi_client"
PYTHON_CLIENT = FOLDER / "src" / "python_client.py"
PROGRAMS = {
    "openapi-fetch": ["node", str(FOLDER / "build" / "openapi_fetch.js")],
    "hey-api": ["node", str(FOLDER / "build" / "js" / "src" / "hey_api.js")],
    "openapi-python-client": [sys.executable, str(PYTHON_CLIENT)],
}
every_client = pytest.mark.parametrize("client", PROGRAMS)


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command for which the generated Python package is importable, with its output."""
    return subprocess.run(
        command,
        cwd=FOLDER,
        env={**os.environ, "PYTHONPATH": str(PACKAGE.parent), "MYPYPATH": str(PACKAGE.parent)},
        timeout=120,
        capture_output=True,
        text=True,
        check=False,
    )


@every_client
def test_a_generated_client_succeeds(client: str, api: Api, alice: str) -> None:
    ended = run(*PROGRAMS[client], api.base, token(alice))
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


@every_client
def test_a_generated_client_fails_after_a_wrong_answer(client: str, api: Api) -> None:
    """The control: each program fails when the answers are not the expected ones."""
    ended = run(*PROGRAMS[client], api.base, token("unknown_user"))
    assert ended.returncode == 1
    assert "AssertionError" in ended.stderr


def type_check(program: Path) -> subprocess.CompletedProcess[str]:
    options = ("--strict", "--config-file=", "--no-error-summary")
    return run(sys.executable, "-m", "mypy", *options, PACKAGE, program)


def test_the_python_client_passes_the_type_checker() -> None:
    checked = type_check(PYTHON_CLIENT)
    assert (checked.returncode, checked.stdout) == (0, "")


def test_the_type_checker_refuses_a_wrong_use(tmp_path: Path) -> None:
    """The control: without its exceptions, the program has four faults."""
    program = tmp_path / "program.py"
    program.write_text(PYTHON_CLIENT.read_text().replace("# type: ignore", "# not ignored"))
    faults = type_check(program).stdout.splitlines()
    assert len([fault for fault in faults if ": error: " in fault]) == 4, faults
