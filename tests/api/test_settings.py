"""Settings are read from the environment, refused in one sentence, and printed without secrets."""

from __future__ import annotations

import os

import pytest

from taskapi.settings import ConfigurationError, Settings

URL = "postgresql://login:the-password@127.0.0.1:5432/tasks"
SECRET = "a secret that is as long as a real one is"

GOOD = {"DATABASE_URL": URL, "BETTER_AUTH_SECRET": SECRET}
# The wrong variables, and the one that the sentence must name.
WRONG: dict[str, tuple[dict[str, str], str]] = {
    "no-url": ({"DATABASE_URL": ""}, "DATABASE_URL"),
    "mysql-url": ({"DATABASE_URL": "mysql://login:the-password@h/tasks"}, "DATABASE_URL"),
    "url-parameter": ({"DATABASE_URL": f"{URL}?nonsense=the-password"}, "DATABASE_URL"),
    "url-escape": ({"DATABASE_URL": "postgresql://login:the-password%zz@h/t"}, "DATABASE_URL"),
    "url-bracket": ({"DATABASE_URL": "postgresql://login:the-password@[::1/t"}, "DATABASE_URL"),
    "no-secret": ({"BETTER_AUTH_SECRET": ""}, "BETTER_AUTH_SECRET"),
    "weak-secret": ({"BETTER_AUTH_SECRET": "the-password"}, "BETTER_AUTH_SECRET"),
    "almost-strong": ({"BETTER_AUTH_SECRET": "s" * 31}, "BETTER_AUTH_SECRET"),
    "weak-previous": (
        {"BETTER_AUTH_SECRET_PREVIOUS": f"{SECRET},the-password"},
        "BETTER_AUTH_SECRET_PREVIOUS",
    ),
    "plain-keys": ({"BETTER_AUTH_URL": "http://auth.example.com"}, "BETTER_AUTH_URL"),
    "keys-no-url": ({"BETTER_AUTH_URL": "auth.example.com"}, "BETTER_AUTH_URL"),
    "keys-bracket": ({"BETTER_AUTH_URL": "https://[::1"}, "BETTER_AUTH_URL"),
    "keys-without-issuer": ({"JWKS_URL": "https://auth.example.com/keys"}, "JWKS_URL"),
    "port-word": ({"PORT": "http"}, "PORT"),
    "port-large": ({"PORT": "65536"}, "PORT"),
    "port-below": ({"PORT": "-1"}, "PORT"),
    "any-origin": ({"CORS_ORIGINS": "*"}, "CORS_ORIGINS"),
    "origin-path": ({"CORS_ORIGINS": "https://app.example.com/"}, "CORS_ORIGINS"),
    "origin-host": ({"CORS_ORIGINS": "https://a.example, app.example.com"}, "CORS_ORIGINS"),
    "origin-scheme": ({"CORS_ORIGINS": "ftp://app.example.com"}, "CORS_ORIGINS"),
    "origin-null": ({"CORS_ORIGINS": "null"}, "CORS_ORIGINS"),
    "pool": ({"TASKAPI_POOL_SIZE": "0"}, "TASKAPI_POOL_SIZE"),
    "deadline": ({"TASKAPI_DEADLINE": "0"}, "TASKAPI_DEADLINE"),
    "deadline-forever": ({"TASKAPI_DEADLINE": "inf"}, "TASKAPI_DEADLINE"),
    "pool-wait-forever": ({"TASKAPI_POOL_WAIT": "inf"}, "TASKAPI_POOL_WAIT"),
    "statement-forever": ({"TASKAPI_STATEMENT_TIMEOUT": "inf"}, "TASKAPI_STATEMENT_TIMEOUT"),
    "statement-nan": ({"TASKAPI_STATEMENT_TIMEOUT": "nan"}, "TASKAPI_STATEMENT_TIMEOUT"),
    "drain-forever": ({"TASKAPI_DRAIN_SECONDS": "inf"}, "TASKAPI_DRAIN_SECONDS"),
    "body": ({"TASKAPI_BODY_LIMIT": "256K"}, "TASKAPI_BODY_LIMIT"),
    "hide": ({"TASKAPI_HIDE_FOREIGN_TASKS": "perhaps"}, "TASKAPI_HIDE_FOREIGN_TASKS"),
    "log": ({"TASKAPI_LOG_FORMAT": "xml"}, "TASKAPI_LOG_FORMAT"),
}


def read(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Settings:
    """Return the settings of an environment with these variables and no others."""
    for name in os.environ:
        if name.upper().removeprefix("TASKAPI_").lower() in Settings.model_fields:
            monkeypatch.delenv(name)
    for name, value in {**GOOD, **variables}.items():
        monkeypatch.setenv(name, value)
    return Settings.from_environment()


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_value_is_refused_in_one_sentence_that_names_its_variable(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables, name = WRONG[case]
    with pytest.raises(ConfigurationError) as caught:
        read(monkeypatch, **variables)
    sentence = str(caught.value)
    assert name in sentence.split("(")[0]
    assert "\n" not in sentence
    assert "the-password" not in sentence and SECRET not in sentence
    assert not any(value in sentence for value in variables.values() if len(value) > 8)


def test_all_wrong_values_are_reported_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(monkeypatch, DATABASE_URL="", PORT="x", CORS_ORIGINS="*")
    assert all(name in str(caught.value) for name in ("DATABASE_URL", "PORT", "CORS_ORIGINS"))


def test_right_values_are_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control, and the defaults."""
    settings = read(monkeypatch)
    assert settings.database_url.get_secret_value() == URL
    assert [secret.get_secret_value() for secret in settings.secrets] == [SECRET]
    assert (settings.host, settings.port, settings.body_limit) == ("127.0.0.1", 8000, 256 * 1024)
    assert settings.cors_origins == ("http://localhost:3000",)
    assert (settings.hide_foreign_tasks, settings.docs) == (False, True)


def test_lists_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    old = "an older secret that is as long as it should be"
    settings = read(
        monkeypatch,
        CORS_ORIGINS=" https://a.example , http://localhost:5173,",
        BETTER_AUTH_SECRET_PREVIOUS=f"{old}, {old}",
    )
    assert settings.cors_origins == ("https://a.example", "http://localhost:5173")
    assert [secret.get_secret_value() for secret in settings.secrets] == [SECRET, old, old]


def test_a_secret_of_32_bytes_is_strong_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read(monkeypatch, BETTER_AUTH_SECRET="é" * 16).secrets


@pytest.mark.parametrize("shown", [repr, str, lambda settings: settings.model_dump_json()])
def test_printed_settings_contain_no_secret(shown: object, monkeypatch: pytest.MonkeyPatch) -> None:
    assert callable(shown)
    text = shown(read(monkeypatch, BETTER_AUTH_SECRET_PREVIOUS="p" * 40))
    assert "8000" in text
    assert not any(secret in text for secret in ("the-password", SECRET, "p" * 40))
