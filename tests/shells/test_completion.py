"""Completion as a user gets it: installed by the command, then Tab is sent to a real shell."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

TIMEOUT = 60.0
PROMPT = "your turn>"
# The file in which each shell reads its prompt; --install-completion appends to the same files.
PROMPTS = {
    "bash": (".bashrc", f"PS1='{PROMPT}'\n"),
    "zsh": (".zshrc", f"PS1='{PROMPT}'\n"),
    "fish": (".config/fish/config.fish", f"function fish_prompt; echo -n '{PROMPT}'; end\n"),
}
COMMANDS = {"bash": ["--noprofile", "-i"], "zsh": ["-i"], "fish": ["-i"]}


class Shell:
    """A shell on a terminal; each line is typed only after its prompt."""

    def __init__(self, terminal: int) -> None:
        self._terminal = terminal
        self._output = b""

    def type(self, keys: str) -> None:
        self._wait_for(PROMPT)
        os.write(self._terminal, keys.encode())

    def wait_until_it_ends(self) -> None:
        self.type("exit\r")
        self._wait_for(None)

    def _wait_for(self, text: str | None) -> None:
        """Wait until the shell prints this text; without a text, until it closes the terminal."""
        deadline = time.monotonic() + TIMEOUT
        while text is None or text.encode() not in self._output:
            left = max(0, deadline - time.monotonic())
            assert select.select([self._terminal], [], [], left)[0], self._output
            try:
                self._output += os.read(self._terminal, 65536)
            except OSError:  # the other end is closed
                assert text is None, self._output
                return
        self._output = self._output.partition(text.encode())[2]


class Home:
    """A home directory with a `taskcli` that records the arguments of its calls."""

    def __init__(self, place: Path, shell: str) -> None:
        self._place = place
        self._shell = shell
        self._calls = place / "calls"
        bin = place / "bin"
        bin.mkdir()
        note = f'[ -z "$_TASKCLI_COMPLETE" ] && echo "$@" >> "{self._calls}"'
        command = f'exec "{sys.executable}" -P -m taskcli "$@"'
        (bin / "taskcli").write_text(f"#!/bin/sh\n{note}\n{command}\n")
        (bin / "taskcli").chmod(0o755)
        self._environment = {
            "HOME": str(place),
            "PATH": f"{bin}{os.pathsep}{os.environ['PATH']}",
            "TERM": "xterm-256color",
            "LANG": "C.UTF-8",
        }
        file = place / PROMPTS[shell][0]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(PROMPTS[shell][1])

    @contextmanager
    def shell(self) -> Iterator[Shell]:
        program = shutil.which(self._shell)
        assert program is not None, f"{self._shell} is not installed"
        master, slave = pty.openpty()
        process = subprocess.Popen(
            [program, *COMMANDS[self._shell]],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=self._place,
            env=self._environment,
            start_new_session=True,
            # A shell needs the terminal as its controlling terminal.
            preexec_fn=lambda: os.close(os.open(os.ttyname(slave), os.O_RDWR)),
        )
        os.close(slave)
        try:
            shell = Shell(master)
            yield shell
            shell.wait_until_it_ends()
            process.wait(TIMEOUT)
        finally:
            process.kill()
            process.wait(TIMEOUT)
            os.close(master)

    @property
    def calls(self) -> list[str]:
        return self._calls.read_text().splitlines()


@pytest.mark.parametrize("shell", PROMPTS)
def test_tab_completes_a_verb_a_subverb_and_an_option(shell: str, tmp_path: Path) -> None:
    home = Home(tmp_path, shell)
    with home.shell() as first:
        first.type("taskcli --install-completion\r")
    with home.shell() as second:
        second.type("taskcli doc\t--help\r")
        second.type("taskcli users ado\t--help\r")
        second.type("taskcli migrate --dry\t--help\r")
    assert home.calls == [
        "--install-completion",
        "doctor --help",
        "users adopt --help",
        "migrate --dry-run --help",
    ]


@pytest.mark.parametrize("shell", PROMPTS)
def test_tab_completes_nothing_without_the_installation(shell: str, tmp_path: Path) -> None:
    """The control."""
    home = Home(tmp_path, shell)
    with home.shell() as only:
        only.type("taskcli doc\t--help\r")
    assert home.calls == ["doc--help"]
