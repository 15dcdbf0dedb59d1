"""The help texts; printing them imports no heavy module, so that they appear quickly."""

from __future__ import annotations

import subprocess
import sys

import pytest

from support.command import Cli

VERBS = [
    *("dev", "doctor", "migrate", "status", "seed", "stats", "users", "tasks"),
    *("serve", "token", "openapi", "config"),
]
NESTED = {
    "users": ["list", "show", "add", "delete", "adopt"],
    "tasks": ["list", "export", "import"],
}


def test_help_groups_every_verb_with_an_example(cli: Cli) -> None:
    output = cli("--help", COLUMNS="200").out
    for panel in ("First steps", "The schema", "The data", "The server"):
        assert panel in output
    for verb in VERBS:
        assert f"│ {verb} " in output
        assert f"taskcli {verb}" in output
    assert "0 done" in output and "2 wrong use" in output


@pytest.mark.parametrize("verb", [v for v in VERBS if v not in NESTED])
def test_a_verbs_help_has_its_example(cli: Cli, verb: str) -> None:
    assert f"Example: taskcli {verb}" in cli(verb, "-h").out


@pytest.mark.parametrize("group", NESTED)
def test_a_groups_help_has_its_verbs(cli: Cli, group: str) -> None:
    output = cli(group, "--help", COLUMNS="200").out
    for verb in NESTED[group]:
        assert f"taskcli {group} {verb}" in output


@pytest.mark.parametrize(
    "wrong", [["nonsense"], ["status", "--nonsense"], ["seed", "--tasks", "x"], ["users", "show"]]
)
def test_wrong_use_is_exit_code_2(cli: Cli, wrong: list[str]) -> None:
    done = cli(*wrong)
    assert (done.code, done.out) == (2, "")
    assert "Usage: taskcli" in done.err


def test_help_imports_no_heavy_module(cli: Cli) -> None:
    script = (
        "import sys; from taskcli.__main__ import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: pass\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True
    )
    loaded = set(done.stderr.split())
    assert {"taskcli", "typer"} <= loaded
    heavy = {"taskcore", "taskapi", "asyncio", "pydantic", "sqlalchemy", "psycopg", "jwt"}
    assert not heavy & loaded
