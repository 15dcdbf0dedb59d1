"""A TypeScript program that knows the OpenAPI document alone, strictly compiled, does a day's work.

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


def test_the_client_gets_along_with_the_server(api: Api, alice: str) -> None:
    ended = run(api, token(alice))
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_the_client_notices_what_is_wrong(api: Api) -> None:
    """The control: the program does not end well whatever it is answered."""
    ended = run(api, token("nobody"))
    assert ended.returncode == 1
    assert "AssertionError" in ended.stderr
