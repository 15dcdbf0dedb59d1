"""Completion, as each shell asks for it; tests/shells presses Tab in the shells themselves."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.command import Cli

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


@pytest.mark.parametrize("line", ["taskcli ", "taskcli users ", "taskcli migrate --"])
def test_fish_is_told_one_word_a_line_on_the_narrowest_terminal(cli: Cli, line: str) -> None:
    """And so not the second half of a description as another word."""
    variables = {**COMPLETIONS["fish"], "_TYPER_COMPLETE_ARGS": line, "COLUMNS": "20"}
    said = cli(_TASKCLI_COMPLETE="complete_fish", **variables).out.splitlines()
    assert len(said) >= 5
    assert [entry.count("\t") for entry in said] == [1] * len(said)
