"""A database that cannot be used: one sentence for each reason, exit code 1, no traceback."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import psycopg
import pytest

from support.command import Cli
from support.ports import closed_port


@pytest.fixture
def urls(url: str) -> Iterator[dict[str, str]]:
    """Database URLs with one fault each, by the fault."""
    parts = urlsplit(url)
    at = f"{parts.hostname}:{parts.port}"
    with closed_port() as port:
        yield {
            "nothing answers": f"postgresql://x:hidden@127.0.0.1:{port}/x",
            "password": f"postgresql://postgres:hidden@{at}/postgres",
            "no such host": "postgresql://x:hidden@nowhere.invalid/x",
            "no such database": url.rpartition("/")[0] + "/nowhere",
            "TLS": url + "?sslmode=require",
        }


REASONS = ["nothing answers", "password", "no such host", "no such database", "TLS"]
VERBS = [["status"], ["migrate"], ["stats"], ["users", "list"], ["seed"]]


@pytest.mark.parametrize("reason", REASONS)
def test_each_reason_has_its_own_sentence(cli: Cli, urls: dict[str, str], reason: str) -> None:
    done = cli("status", DATABASE_URL=urls[reason])
    assert (done.code, done.out) == (1, "")
    assert reason in done.err and "nothing was changed" in done.err
    assert done.err.count("\n") == 1
    assert "hidden" not in done.err


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_every_verb_prints_the_same_sentence(
    cli: Cli, urls: dict[str, str], verb: list[str]
) -> None:
    done = cli(*verb, DATABASE_URL=urls["password"])
    assert done.code == 1
    assert done.err.startswith("taskcli: the database does not accept the password")
    assert done.err.count("\n") == 1


def test_the_right_url_works(cli: Cli, url: str) -> None:
    """Control: with the right URL the verb works."""
    assert cli("status", DATABASE_URL=url).code == 0
    assert (
        cli("status", "--database-url", url, DATABASE_URL="postgresql://nowhere.invalid").code == 0
    )


def test_without_a_url_the_message_names_the_variable(cli: Cli) -> None:
    done = cli("status")
    assert done.code == 2
    assert "set DATABASE_URL" in done.err and "taskcli dev" in done.err


def test_a_url_of_another_database_system_is_wrong_use(cli: Cli) -> None:
    done = cli("status", DATABASE_URL="mysql://me:hidden@host/db")
    assert done.code == 2
    assert "postgresql://" in done.err and "hidden" not in done.err


def test_verbose_adds_the_traceback(cli: Cli, urls: dict[str, str]) -> None:
    process = cli.start("status", "--verbose", DATABASE_URL=urls["nothing answers"])
    _, output = process.communicate(timeout=60)
    assert output.startswith("taskcli: nothing answers")
    assert "Traceback" in output


def test_a_login_without_rights_gets_one_sentence(
    cli: Cli, url: str, admin: psycopg.Connection
) -> None:
    parts = urlsplit(url)
    admin.execute("DROP ROLE IF EXISTS cli_without_rights")
    admin.execute("CREATE ROLE cli_without_rights LOGIN PASSWORD 'p'")
    try:
        without_rights = parts._replace(
            netloc=f"cli_without_rights:p@{parts.hostname}:{parts.port}"
        )
        for verb in (["stats"], ["users", "list"], ["seed", "--yes"]):
            done = cli(*verb, DATABASE_URL=without_rights.geturl())
            assert done.code == 1
            assert "may not" in done.err and done.err.count("\n") == 1
            assert cli(*verb[:1], *verb[1:2], "--help").code == 0
    finally:
        admin.execute("DROP ROLE cli_without_rights")
