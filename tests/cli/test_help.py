"""What the command says of itself, and that it says so without delay."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fix_cli import Cli

VERBS = [
    *("dev", "doctor", "migrate", "status", "seed", "stats", "users", "tasks"),
    *("serve", "token", "openapi", "config"),
]
NESTED = {
    "users": ["list", "show", "add", "delete", "adopt"],
    "tasks": ["list", "export", "import"],
}


def test_help_groups_every_verb_with_an_example(cli: Cli) -> None:
    said = cli("--help", COLUMNS="200").out
    for panel in ("First steps", "The schema", "The data", "The server"):
        assert panel in said
    for verb in VERBS:
        assert f"│ {verb} " in said
        assert f"taskcli {verb}" in said
    assert "0 done" in said and "2 wrong use" in said


@pytest.mark.parametrize("verb", [v for v in VERBS if v not in NESTED])
def test_a_verbs_help_has_its_example(cli: Cli, verb: str) -> None:
    assert f"Example: taskcli {verb}" in cli(verb, "-h").out


@pytest.mark.parametrize("group", NESTED)
def test_a_groups_help_has_its_verbs(cli: Cli, group: str) -> None:
    said = cli(group, "--help", COLUMNS="200").out
    for verb in NESTED[group]:
        assert f"taskcli {group} {verb}" in said


@pytest.mark.parametrize(
    "wrong", [["nonsense"], ["status", "--nonsense"], ["seed", "--tasks", "x"], ["users", "show"]]
)
def test_wrong_use_is_exit_code_2(cli: Cli, wrong: list[str]) -> None:
    done = cli(*wrong)
    assert (done.code, done.out) == (2, "")
    assert "Usage: taskcli" in done.err


def test_help_loads_nothing_heavy(cli: Cli) -> None:
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


COMPLETIONS = {
    "bash": {"COMP_WORDS": "taskcli mig", "COMP_CWORD": "1"},
    "zsh": {"_TYPER_COMPLETE_ARGS": "taskcli mig"},
    "fish": {"_TYPER_COMPLETE_ARGS": "taskcli mig", "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
}


@pytest.mark.parametrize("shell", COMPLETIONS)
def test_a_shell_is_told_how_a_verb_goes_on(cli: Cli, shell: str) -> None:
    said = cli(_TASKCLI_COMPLETE=f"complete_{shell}", **COMPLETIONS[shell]).out
    assert "migrate" in said
    assert "serve" not in said


RC = {"bash": ".bashrc", "zsh": ".zshrc", "fish": ".config/fish/completions/taskcli.fish"}


@pytest.mark.parametrize("shell", RC)
def test_completion_installs_for_a_shell(cli: Cli, shell: str, tmp_path: Path) -> None:
    variables = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1", "HOME": str(tmp_path)}
    done = cli("--install-completion", shell, **variables)
    assert done.code == 0
    assert (tmp_path / RC[shell]).exists()


def test_bash_completes_with_what_was_installed(cli: Cli, tmp_path: Path) -> None:
    """The real shell, with the real file: what Tab would fill in."""
    bash = shutil.which("bash")
    assert bash is not None
    home = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1", "HOME": str(tmp_path)}
    cli("--install-completion", "bash", **home)
    bin = tmp_path / "bin"
    bin.mkdir()
    (bin / "taskcli").write_text(f'#!/bin/sh\nexec {sys.executable} -P -m taskcli "$@"\n')
    (bin / "taskcli").chmod(0o755)
    script = (
        '. "$HOME/.bashrc"; COMP_WORDS=(taskcli do); COMP_CWORD=1; '
        "$(complete -p taskcli | sed 's/.*-F \\([^ ]*\\).*/\\1/') taskcli; echo \"${COMPREPLY[@]}\""
    )
    path = f"{bin}{os.pathsep}{os.environ['PATH']}"
    environment = cli.environment({"HOME": str(tmp_path), "PATH": path})
    done = subprocess.run([bash, "-c", script], capture_output=True, text=True, env=environment)
    assert done.stdout.split() == ["doctor"]
