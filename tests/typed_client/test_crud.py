"""A strictly compiled TypeScript program, typed by the OpenAPI document only, uses all endpoints.

It is run by name, after its build: `nox -s typed_client`.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from support.api_server import Api, token

PROGRAM = Path(__file__).parent / "build" / "crud.js"


def run(api: Api, sent: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["node", str(PROGRAM), api.base, sent],
        timeout=60,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_typed_client_succeeds(api: Api, alice: str) -> None:
    ended = run(api, token(alice))
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_the_typed_client_fails_after_a_wrong_answer(api: Api) -> None:
    """The control: the program fails when the answers are not the expected ones."""
    ended = run(api, token("unknown_user"))
    assert ended.returncode == 1
    assert "AssertionError" in ended.stderr
