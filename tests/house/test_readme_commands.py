"""Every command in a README is run by a test: one that nobody claims fails here."""

from __future__ import annotations

import re
import shlex
import signal
from importlib.metadata import metadata
from pathlib import Path

import httpx
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from typer.core import TyperGroup
from typer.main import get_command

from support.command import Cli
from support.polling import wait_until
from support.ports import port_served
from taskapi.settings import Settings, variable
from taskcli.__main__ import app
from taskcore import embedded

ROOT = Path(__file__).parents[2]
READMES = [ROOT / "README.md", *sorted(ROOT.glob("packages/*/README.md"))]
TEXT = {path: path.read_text() for path in READMES}

# What is run here, below.
CHECKS = {"taskcli --help", "taskcli migrate", "taskcli doctor"}
SERVES = {"taskcli serve"}
# What needs packages from an index is run elsewhere: the first command as it stands in the README,
# and the second, one step a line.
FIRST = "tests/first_minutes/test_first_command.py"
ELSEWHERE = {
    '.venv/bin/pip install "./packages/taskcore[embedded]" ./packages/taskapi ./packages/taskcli': (
        FIRST
    ),
    ".venv/bin/taskcli dev": FIRST,
    "python3 -m venv .venv": ".ci/run",
    ".venv/bin/pip install nox": ".ci/run",
    ".venv/bin/nox": ".ci/run",
}


def blocks(text: str) -> list[tuple[str, str]]:
    """Each fenced block: its language, and what is in it."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    """Every line for a shell, without comments; those of a recorded session begin with `$`."""
    found = []
    for text in TEXT.values():
        for language, block in blocks(text):
            lines = block.splitlines()
            if language != "sh":
                lines = [line[2:] for line in lines if line.startswith("$ ")]
            for line in lines:
                bare = re.sub(r"\s+#.*", "", line)
                found += [command.strip() for command in bare.split(" && ")]
    return found


ASSIGNMENT = re.compile(r"(?:export )?([A-Z_]+=\S+ ?)+$")
INSTALLS = "pip install "
COMMANDS = commands()


def test_there_are_commands_and_no_block_hides_them() -> None:
    languages = {language for text in TEXT.values() for language, _ in blocks(text)}
    assert languages == {"sh", "text", "python", "ts"}
    assert {*CHECKS, *SERVES, *ELSEWHERE} <= set(COMMANDS), "this table has what no README has"


def test_every_command_is_claimed() -> None:
    claimed = {*CHECKS, *SERVES, *ELSEWHERE}
    left = [
        command
        for command in COMMANDS
        if command not in claimed
        and not ASSIGNMENT.match(command)
        and not command.startswith(INSTALLS)
    ]
    assert left == []


@pytest.mark.parametrize("command", ELSEWHERE)
def test_what_is_run_elsewhere_is_run_there(command: str) -> None:
    text = (ROOT / ELSEWHERE[command]).read_text()
    if ELSEWHERE[command] == FIRST:
        assert '"README.md"' in text
    else:
        assert command in text.splitlines()


@pytest.mark.parametrize("command", sorted(CHECKS))
def test_a_command_that_ends_ends_well(command: str, cli: Cli, own_url: str, secret: str) -> None:
    _, *arguments = shlex.split(command)
    assert cli(*arguments, DATABASE_URL=own_url, BETTER_AUTH_SECRET=secret).code == 0


@pytest.mark.parametrize("command", sorted(SERVES))
def test_a_command_that_serves_answers(command: str, cli: Cli, url: str, secret: str) -> None:
    _, *arguments = shlex.split(command)
    variables = {"DATABASE_URL": url, "BETTER_AUTH_SECRET": secret, "PORT": "0"}
    process = cli.start(*arguments, **variables, TASKAPI_DRAIN_SECONDS="0")
    port = port_served(process)

    def answers() -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/health/ready").status_code == 200
        except httpx.TransportError:
            return False

    wait_until(answers, "an answer")
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith(INSTALLS)])
def test_what_is_installed_by_name_is_ours_and_has_that_extra(command: str) -> None:
    ours = {"taskcore", "taskapi", "taskcore-cli"}
    for wanted in map(Requirement, shlex.split(command.removeprefix(INSTALLS))):
        assert canonicalize_name(wanted.name) in ours
        assert wanted.extras <= set(metadata(wanted.name).get_all("Provides-Extra") or [])


@pytest.mark.parametrize("command", [c for c in COMMANDS if ASSIGNMENT.match(c)])
def test_what_is_set_is_a_setting(command: str) -> None:
    known = {variable(field) for field in Settings.model_fields}
    assert set(re.findall(r"([A-Z_]+)=", command)) <= known


MENTIONED = sorted({m for t in TEXT.values() for m in re.findall(r"`taskcli ([a-z][^`]*)`", t)})


@pytest.mark.parametrize("mentioned", MENTIONED)
def test_a_verb_that_is_mentioned_is_there_with_its_options(mentioned: str) -> None:
    verb, *rest = mentioned.split()
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    command = group.commands[verb]
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in rest if word.startswith("-")} <= known


# What differs from run to run, and from machine to machine.
VARIES = {
    r"\d+\.\d+ (m?s)\b": r"N \1",
    r"differs by -?\d+ ms": "differs by N ms",
    r"\d+ of \d+": "N of N",
    r"\d+ bytes": "N bytes",
    r"PostgreSQL \d+\.\d+": "PostgreSQL N",
    r"127\.0\.0\.1:\d+": "127.0.0.1:N",
    r"postgres:[^@]*@": "postgres:…@",
    r"eyJ[\w.…-]+": "TOKEN",
}


def recorded(first: str) -> list[str]:
    """The session in the README that begins so."""
    (block,) = (b for _, b in blocks(TEXT[ROOT / "README.md"]) if b.startswith(first))
    return alike(block)


def alike(said: str) -> list[str]:
    for pattern, instead in VARIES.items():
        said = re.sub(pattern, instead, said)
    return said.splitlines()


def test_doctor_says_what_is_recorded(cli: Cli, own_url: str) -> None:
    strong = "Zb8kQ1w2E3r4T5y6U7i8O9p0AsDfGhJkLm"
    said = cli("doctor", DATABASE_URL=own_url, BETTER_AUTH_SECRET=strong).out
    assert alike(f"$ taskcli doctor\n{said}") == recorded("$ taskcli doctor")


def test_dev_says_what_is_recorded(cli: Cli) -> None:
    wanted = recorded("starting")
    process = cli.start("dev", "--port", 0)
    try:
        assert process.stdout is not None
        box = ""
        while box.count("-" * 72) < 2:
            line = process.stdout.readline()
            assert line, "it ended"
            box += line
        process.send_signal(signal.SIGINT)
        _, notes = process.communicate(timeout=60)
    finally:
        cli.close()
        embedded.erase(cli.directory / ".taskdata")
    before = len(wanted) - len(alike(box))
    assert alike(notes)[:before] + alike(box) == wanted
