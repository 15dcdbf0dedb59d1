"""A server with wrong settings prints the reason in one line and ends, however it is started."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from support.api_server import SECRET, Serve
from support.preloaded import run

FACTORY = "taskapi.app:create_app_from_environment"
COMMANDS = {
    "taskcli": [sys.executable, "-m", "taskcli", "serve"],
    "uvicorn": [
        sys.executable,
        "-m",
        "uvicorn",
        "--factory",
        "taskapi.app:create_app_from_environment",
    ],
}
WRONG: dict[str, dict[str, str]] = {
    "BETTER_AUTH_SECRET": {"BETTER_AUTH_SECRET": "the-weak-secret"},
    "DATABASE_URL": {"DATABASE_URL": "postgres//login:the-password@host/tasks"},
    "PORT": {"PORT": "eighty"},
    "CORS_ORIGINS": {"CORS_ORIGINS": "*"},
    "TASKAPI_DEADLINE": {"TASKAPI_DEADLINE": "inf"},
}


def start(command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("TASKAPI_")},
        "DATABASE_URL": "postgresql://login:the-password@127.0.0.1:1/tasks",
        "BETTER_AUTH_SECRET": SECRET,
        "PORT": "0",
        **variables,
    }
    return run(COMMANDS[command], env=environment)


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_wrong_setting_is_reported_in_one_line(command: str, name: str) -> None:
    done = start(command, **WRONG[name])
    assert done.returncode not in (0, -9)
    (line,) = (done.stdout + done.stderr).splitlines()
    assert line.removeprefix("taskcli: ").startswith(f"{name} ")
    assert not any(value in line for value in (SECRET, "the-password", "the-weak-secret"))


@pytest.mark.parametrize("command", COMMANDS)
def test_missing_settings_are_reported_in_one_line(command: str) -> None:
    done = start(command, DATABASE_URL="", BETTER_AUTH_SECRET="")
    assert done.returncode != 0
    (line,) = (done.stdout + done.stderr).splitlines()
    assert line.removeprefix("taskcli: ").startswith("set DATABASE_URL ")


def test_with_right_settings_it_starts(serve: Serve) -> None:
    """The control; a server also starts without its database."""
    with serve("postgresql://login:the-password@127.0.0.1:1/tasks") as api, api.client() as client:
        assert client.get("/health/live").status_code == 200
    assert "the-password" not in api.log.read_text()
