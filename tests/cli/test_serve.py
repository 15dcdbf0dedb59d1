"""`serve`: the checks before the port is opened, and the socket that it listens on."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest

from support.command import COMMAND, Cli
from support.polling import wait_until
from support.ports import closed_port, listening_socket, port_of, port_served
from taskcore import migrations


@pytest.fixture
def settings(url: str, secret: str) -> dict[str, str]:
    return {"DATABASE_URL": url, "BETTER_AUTH_SECRET": secret, "TASKAPI_DRAIN_SECONDS": "0"}


def answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health/ready", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def test_a_flag_precedes_the_environment(cli: Cli, settings: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        other = port_of(taken)
        process = cli.start("serve", "--port", 0, **settings, PORT=str(other))
        port = port_served(process)
        assert port != other
        wait_until(lambda: answers(port), "the first answer")
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_a_schema_that_is_behind_or_missing_is_refused(
    cli: Cli, empty_url: str, settings: dict[str, str]
) -> None:
    settings = {**settings, "DATABASE_URL": empty_url, "PORT": "0"}
    missing = cli("serve", **settings)
    assert missing.code == 1
    assert "run the migrations (taskcli migrate)" in missing.err
    migrations.upgrade(empty_url)
    with psycopg.connect(empty_url) as connection:
        connection.execute("UPDATE taskcore_version SET version_num = '0001'")
    behind = cli("serve", **settings)
    assert behind.code == 1
    assert f"is at 0001, and this version needs {migrations.head()}" in behind.err
    with psycopg.connect(empty_url) as connection:
        connection.execute("UPDATE taskcore_version SET version_num = '9999'")
    process = cli.start("serve", **settings)
    port = port_served(process)
    wait_until(lambda: answers(port), "the first answer")
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0


def test_a_wrong_password_is_refused(cli: Cli, settings: dict[str, str]) -> None:
    parts = urlsplit(settings["DATABASE_URL"])
    wrong = parts._replace(netloc=f"postgres:hidden@{parts.hostname}:{parts.port}").geturl()
    done = cli("serve", **{**settings, "DATABASE_URL": wrong, "PORT": "0"})
    assert done.code == 1
    assert done.err.startswith("taskcli: the database does not accept the password")
    assert "hidden" not in done.err


def test_serve_starts_while_the_database_is_down(cli: Cli, settings: dict[str, str]) -> None:
    listener = listening_socket()
    port = port_of(listener)

    def alive() -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/health/live").status_code == 200
        except httpx.TransportError:
            return False

    with closed_port() as closed:
        unreachable = {**settings, "DATABASE_URL": f"postgresql://x@127.0.0.1:{closed}/x"}
        process = cli.start_on(listener, "serve", **unreachable)
        wait_until(alive, "the first answer")
        assert not answers(port)
        process.send_signal(signal.SIGTERM)
        _, message = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "nothing answers where the database should be" in message


def test_a_port_in_use_gets_one_sentence(cli: Cli, settings: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = cli("serve", "--port", port, **settings)
    assert done.code == 1
    assert done.err.splitlines()[-1] == (
        f"taskcli: port {port} of 127.0.0.1 is taken by another process: stop it, or choose "
        f"another port (--port {port + 1})"
    )


def test_a_passed_socket_is_served(cli: Cli, settings: dict[str, str]) -> None:
    """systemd binds the socket before it starts the process, so no connection is refused."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        number = listener.fileno()
        process = subprocess.Popen(
            [*COMMAND, "serve", "--fd", str(number), "--log-level", "error"],
            env=cli.environment(settings),
            cwd=cli.directory,
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=[number],
        )
    wait_until(lambda: answers(port), "the first answer")
    process.send_signal(signal.SIGTERM)
    _, message = process.communicate(timeout=30)
    assert (process.returncode, message) == (0, "")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["--fd", "99"], "--fd 99 is no socket"),
        (["--fd", "3", "--port", "1"], "leave --host and --port away"),
        (["--reload", "--workers", "2"], "one worker"),
        (["--host", "nowhere.invalid"], "no address"),
    ],
)
def test_invalid_options_are_wrong_use(
    cli: Cli, settings: dict[str, str], wrong: list[str], message: str
) -> None:
    done = cli("serve", "--no-check", *wrong, **settings)
    assert done.code == 2
    assert message in done.err
    assert os.environ.get("PORT") is None


def test_debug_logs_the_settings_and_why_a_request_was_refused(
    cli: Cli, settings: dict[str, str]
) -> None:
    """And no secret: neither of the settings nor of what was sent."""

    def log(level: str) -> str:
        listener = listening_socket()
        port = port_of(listener)
        process = cli.start_on(listener, "serve", "--log-level", level, **settings)
        wait_until(lambda: answers(port), "the first answer")
        headers = {"Authorization": "Bearer a-session-token-of-a-user"}
        url = f"http://127.0.0.1:{port}/api/tasks"
        refused = httpx.get(url, headers=headers)
        assert refused.json()["detail"] == "The bearer token must be a JWT."
        process.send_signal(signal.SIGTERM)
        return process.communicate(timeout=30)[1]

    debug = log("debug")
    assert "token_malformed: it is no JWT" in debug
    assert "TASKAPI_POOL_SIZE = 10 (default)" in debug
    for secret in (settings["BETTER_AUTH_SECRET"], urlsplit(settings["DATABASE_URL"]).password):
        assert secret and secret not in debug
    assert "a-session-token-of-a-user" not in debug
    assert "it is no JWT" not in log("info")
