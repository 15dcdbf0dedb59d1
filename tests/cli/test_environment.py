"""A flag precedes the environment, which precedes `.env`; `config` shows the source."""

from __future__ import annotations

import pytest

from support.command import Cli
from taskapi.settings import Settings, variable
from taskcli.config import masked
from taskcli.environment import is_read

FIRST, SECOND, THIRD = (f"postgresql://me:hidden@{host}.example/db" for host in "abc")


def shown(cli: Cli, *arguments: str, **variables: str) -> dict[str, tuple[str | None, str]]:
    done = cli("config", "--json", *arguments, **variables)
    assert done.code == 0
    assert "hidden" not in done.out
    return {item["name"]: (item["value"], item["source"]) for item in done.json}


def test_a_flag_precedes_the_environment_which_precedes_the_file(cli: Cli) -> None:
    (cli.directory / ".env").write_text(f"DATABASE_URL={THIRD}\n")
    seen = [
        shown(cli)["DATABASE_URL"],
        shown(cli, DATABASE_URL=SECOND)["DATABASE_URL"],
        shown(cli, "--database-url", FIRST, DATABASE_URL=SECOND)["DATABASE_URL"],
    ]
    assert seen == [
        ("postgresql://me:***@c.example/db", ".env"),
        ("postgresql://me:***@b.example/db", "environment"),
        ("postgresql://me:***@a.example/db", "flag"),
    ]


def test_without_settings_the_defaults_apply(cli: Cli) -> None:
    values = shown(cli)
    assert values["PORT"] == ("8000", "default")
    assert values["CORS_ORIGINS"] == ("http://localhost:3000", "default")
    assert values["DATABASE_URL"] == (None, "default")


def test_the_direct_url_of_the_file_is_ignored_for_another_database(cli: Cli) -> None:
    """Otherwise a migration would run in the file's database instead of the named one."""
    (cli.directory / ".env").write_text(f"DATABASE_URL={THIRD}\nDATABASE_URL_UNPOOLED={THIRD}\n")
    assert shown(cli)["DATABASE_URL_UNPOOLED"][1] == ".env"
    assert shown(cli, DATABASE_URL=FIRST)["DATABASE_URL_UNPOOLED"] == (None, "default")
    named = shown(cli, "--database-url", FIRST, DATABASE_URL_UNPOOLED=SECOND)
    assert named["DATABASE_URL_UNPOOLED"] == (None, "default")


def test_only_our_variables_are_read_from_the_file(cli: Cli) -> None:
    (cli.directory / ".env").write_text("NO_COLOR=1\nPATH=/nowhere\nPORT=9\nexport HOST='::1'\n")
    values = shown(cli)
    assert values["PORT"] == ("9", ".env")
    assert values["HOST"] == ("::1", ".env")
    assert not is_read("PATH") and not is_read("NO_COLOR")


def test_a_file_that_is_not_text_gets_one_sentence(cli: Cli) -> None:
    (cli.directory / ".env").write_bytes(b"PORT=\xff\xfe\n")
    done = cli("config")
    assert done.code == 2
    assert done.err.startswith("taskcli: the file .env") and done.err.count("\n") == 1


@pytest.mark.parametrize("field", Settings.model_fields)
def test_every_setting_of_the_server_is_known(cli: Cli, field: str) -> None:
    assert is_read(variable(field))


def test_every_setting_is_shown_and_secrets_only_by_their_length(cli: Cli) -> None:
    values = shown(cli, BETTER_AUTH_SECRET="hidden" * 6, BETTER_AUTH_SECRET_PREVIOUS="hidden" * 7)
    assert set(values) >= {variable(field) for field in Settings.model_fields}
    assert values["BETTER_AUTH_SECRET"] == ("(36 bytes)", "environment")
    assert values["BETTER_AUTH_SECRET_PREVIOUS"] == ("(42 bytes)", "environment")


@pytest.mark.parametrize(
    ("url", "without"),
    [
        ("postgresql://a:b@h/d", "postgresql://a:***@h/d"),
        ("postgresql://h/d", "postgresql://h/d"),
        ("postgresql://a@h/d", "postgresql://a:***@h/d"),
        ("postgresql://h/d?user=a&password=b", "postgresql://h/d?user=a&password=***"),
        ("postgresql://a:b@c@h/d", "(22 bytes)"),
        ("host=h password=b", "(17 bytes)"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, without: str) -> None:
    assert masked(url) == without
