"""Completion is called the way each shell calls it; tests/shells presses Tab in real shells."""

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
def test_a_partial_verb_is_completed(cli: Cli, shell: str) -> None:
    output = cli(_TASKCLI_COMPLETE=f"complete_{shell}", **COMPLETIONS[shell]).out
    assert "migrate" in output
    assert "serve" not in output


RC = {"bash": ".bashrc", "zsh": ".zshrc", "fish": ".config/fish/completions/taskcli.fish"}


@pytest.mark.parametrize("shell", RC)
def test_completion_installs_for_a_shell(cli: Cli, shell: str, tmp_path: Path) -> None:
    variables = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1", "HOME": str(tmp_path)}
    done = cli("--install-completion", shell, **variables)
    assert done.code == 0
    assert (tmp_path / RC[shell]).exists()


def test_bash_completes_with_the_installed_file(cli: Cli, tmp_path: Path) -> None:
    """A real bash reads the installed file and prints what Tab would offer."""
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
def test_fish_gets_one_word_per_line_on_a_narrow_terminal(cli: Cli, line: str) -> None:
    """A wrapped description would add a second line, which fish would offer as another word."""
    variables = {**COMPLETIONS["fish"], "_TYPER_COMPLETE_ARGS": line, "COLUMNS": "20"}
    output = cli(_TASKCLI_COMPLETE="complete_fish", **variables).out.splitlines()
    assert len(output) >= 5
    assert [entry.count("\t") for entry in output] == [1] * len(output)
