"""Every command in a README is run by a test; a command that is in no table below fails."""

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

# The commands that this file runs.
CHECKS = {"taskcli --help", "taskcli migrate", "taskcli doctor"}
SERVES = {"taskcli serve"}
# Commands that need packages from an index are run by the named file.
FIRST = "tests/first_minutes/test_first_command.py"
BACKUP = "tests/cli/test_backup.py"
RECIPES = "tests/telemetry/test_recipes.py"
ELSEWHERE = {
    '.venv/bin/pip install "./packages/taskcore[embedded]" ./packages/taskapi ./packages/taskcli': (
        FIRST
    ),
    ".venv/bin/taskcli dev": FIRST,
    "python3 -m venv .venv": ".ci/run",
    ".venv/bin/pip install nox": ".ci/run",
    ".venv/bin/nox": ".ci/run",
    'pg_dump --format=custom --no-acl --file=tasks.dump "$DATABASE_URL"': BACKUP,
    'pg_dumpall --roles-only --file=roles.sql --dbname="$DATABASE_URL"': BACKUP,
    'psql --quiet --file=roles.sql "$RESTORED_URL"': BACKUP,
    'pg_restore --dbname="$RESTORED_URL" tasks.dump': BACKUP,
    'taskcli repair --database-url "$RESTORED_URL"': BACKUP,
    'taskcli doctor --database-url "$RESTORED_URL"': BACKUP,
    **dict.fromkeys(
        (
            "pip install opentelemetry-distro opentelemetry-exporter-prometheus",
            "pip install opentelemetry-distro opentelemetry-exporter-otlp-proto-http",
            "opentelemetry-instrument --service_name taskapi --metrics_exporter prometheus "
            "--exporter_prometheus_port 9464 --traces_exporter none --logs_exporter none "
            "taskcli serve",
            "opentelemetry-instrument --service_name taskapi "
            "--exporter_otlp_protocol http/protobuf "
            "--exporter_otlp_endpoint http://localhost:4318 --logs_exporter none "
            "taskcli serve --workers 2",
        ),
        RECIPES,
    ),
}


def blocks(text: str) -> list[tuple[str, str]]:
    """The language and the text of each fenced block."""
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


def test_the_commands_are_found_in_blocks_of_known_languages() -> None:
    languages = {language for text in TEXT.values() for language, _ in blocks(text)}
    assert languages == {"sh", "text", "python", "ts"}
    assert {*CHECKS, *SERVES, *ELSEWHERE} <= set(COMMANDS), (
        "a table has a command that is in no README"
    )


def test_every_command_is_in_a_table() -> None:
    listed = {*CHECKS, *SERVES, *ELSEWHERE}
    left = [
        command
        for command in COMMANDS
        if command not in listed
        and not ASSIGNMENT.match(command)
        and not command.startswith(INSTALLS)
    ]
    assert left == []


@pytest.mark.parametrize("command", ELSEWHERE)
def test_a_command_that_another_file_runs_is_in_that_file(command: str) -> None:
    text = (ROOT / ELSEWHERE[command]).read_text()
    if ELSEWHERE[command] in (FIRST, BACKUP, RECIPES):
        assert '"README.md"' in text
    else:
        assert command in text.splitlines()


@pytest.mark.parametrize("command", sorted(CHECKS))
def test_a_command_that_ends_succeeds(command: str, cli: Cli, own_url: str, secret: str) -> None:
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


@pytest.mark.parametrize(
    "command", [c for c in COMMANDS if c.startswith(INSTALLS) and c not in ELSEWHERE]
)
def test_an_installed_distribution_is_ours_and_has_the_extra(command: str) -> None:
    ours = {"taskcore", "taskapi", "taskcore-cli"}
    for wanted in map(Requirement, shlex.split(command.removeprefix(INSTALLS))):
        assert canonicalize_name(wanted.name) in ours
        assert wanted.extras <= set(metadata(wanted.name).get_all("Provides-Extra") or [])


@pytest.mark.parametrize("command", [c for c in COMMANDS if ASSIGNMENT.match(c)])
def test_a_variable_that_is_set_is_a_setting(command: str) -> None:
    known = {variable(field) for field in Settings.model_fields}
    assert set(re.findall(r"([A-Z_]+)=", command)) <= known


MENTIONED = sorted({m for t in TEXT.values() for m in re.findall(r"`taskcli ([a-z][^`]*)`", t)})


@pytest.mark.parametrize("mentioned", MENTIONED)
def test_a_verb_that_is_mentioned_exists_with_its_options(mentioned: str) -> None:
    verb, *rest = mentioned.split()
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    command = group.commands[verb]
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in rest if word.startswith("-")} <= known


# Output that differs between runs or machines.
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
    """The recorded session in the README that begins with `first`."""
    (block,) = (b for _, b in blocks(TEXT[ROOT / "README.md"]) if b.startswith(first))
    return normalised(block)


def normalised(output: str) -> list[str]:
    for pattern, instead in VARIES.items():
        output = re.sub(pattern, instead, output)
    return output.splitlines()


def test_doctor_prints_what_is_recorded(cli: Cli, own_url: str) -> None:
    strong = "Zb8kQ1w2E3r4T5y6U7i8O9p0AsDfGhJkLm"
    output = cli("doctor", DATABASE_URL=own_url, BETTER_AUTH_SECRET=strong).out
    assert normalised(f"$ taskcli doctor\n{output}") == recorded("$ taskcli doctor")


def test_dev_prints_what_is_recorded(cli: Cli) -> None:
    wanted = recorded("starting")
    process = cli.start("dev", "--port", 0)
    try:
        assert process.stdout is not None
        printed = ""
        while printed.count("-" * 72) < 2:
            line = process.stdout.readline()
            assert line, "dev ended"
            printed += line
        process.send_signal(signal.SIGINT)
        _, notes = process.communicate(timeout=60)
    finally:
        cli.close()
        embedded.erase(cli.directory / ".taskdata")
    before = len(wanted) - len(normalised(printed))
    assert normalised(notes)[:before] + normalised(printed) == wanted
