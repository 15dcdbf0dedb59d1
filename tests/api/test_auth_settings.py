"""A server without a safe authentication method is not started; one sentence says what to set."""

from __future__ import annotations

import pytest

from api.authenticators import identify, refusal_code
from api.jwks_server import JwksServer
from api.tokens import key_signer, secret_signer
from taskapi.auth import authenticator_for
from taskapi.settings import ConfigurationError, Settings, variable

SECRET = "a secret that is as long as a real one is"
URL = "https://app.example.com"
STRONG = "needs at least 32 bytes, as `openssl rand -base64 32` prints them"
HTTPS = "must be an https URL (http only for this machine's own addresses)"

Environment = dict[str, str]


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(variable(name), raising=False)
    monkeypatch.setenv("DATABASE_URL", "postgresql://localhost/tasks")


def settings_of(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return Settings.from_environment()


REFUSED: dict[str, tuple[Environment, str]] = {
    "no method": (
        {},
        "set BETTER_AUTH_SECRET (tokens signed with the shared secret), "
        "BETTER_AUTH_URL (tokens of Better Auth's jwt plugin), or both",
    ),
    "empty methods": (
        {"BETTER_AUTH_SECRET": "", "BETTER_AUTH_URL": ""},
        "set BETTER_AUTH_SECRET (tokens signed with the shared secret), "
        "BETTER_AUTH_URL (tokens of Better Auth's jwt plugin), or both",
    ),
    "short secret": ({"BETTER_AUTH_SECRET": "s" * 31}, f"BETTER_AUTH_SECRET {STRONG}"),
    "known secret": (
        {"BETTER_AUTH_SECRET": "better-auth-secret-12345678901234567890"},
        "BETTER_AUTH_SECRET is Better Auth's published default: set one of your own",
    ),
    "short previous secret": (
        {"BETTER_AUTH_SECRET": SECRET, "BETTER_AUTH_SECRET_PREVIOUS": f"{SECRET},short"},
        f"BETTER_AUTH_SECRET_PREVIOUS {STRONG}",
    ),
    "previous secret alone": (
        {"BETTER_AUTH_URL": URL, "BETTER_AUTH_SECRET_PREVIOUS": SECRET},
        "BETTER_AUTH_SECRET_PREVIOUS needs BETTER_AUTH_SECRET beside it",
    ),
    "keys without issuer and audience": (
        {"JWKS_URL": f"{URL}/keys"},
        "JWKS_URL needs BETTER_AUTH_URL beside it, or TASKAPI_JWT_ISSUER and "
        "TASKAPI_JWT_AUDIENCE: whose tokens, and for whom, must be known",
    ),
    **{
        f"{name}={url}": ({"BETTER_AUTH_URL": URL, name: url}, f"{name} {HTTPS}")
        for name in ("BETTER_AUTH_URL", "JWKS_URL")
        for url in (
            "http://app.example.com",
            "http://localhost.example.com",
            "http://127.example.com",
            "http://127.0.0.1.example.com",
            "http://localhost@example.com",
            "http://10.0.0.1",
            "http://0.0.0.0",
            "http://[::2]",
            "ftp://localhost",
            "file:///etc/keys",
            "app.example.com",
            "https://",
        )
    },
    **{
        f"BETTER_AUTH_URL={url}": (
            {"BETTER_AUTH_URL": url},
            f"BETTER_AUTH_URL must not contain /api/auth: set it to {right}",
        )
        for url, right in (
            (f"{URL}/api/auth", URL),
            (f"{URL}/api/auth/", URL),
            (f"{URL}/api/auth/jwks", URL),
            (f"{URL}/shop/api/auth", f"{URL}/shop"),
            ("http://localhost:3000/api/auth", "http://localhost:3000"),
            ("https://me:hidden-password@app.example.com/api/auth?a=1", URL),
        )
    },
}


@pytest.mark.parametrize("name", REFUSED)
def test_unsafe_settings_are_refused_in_one_sentence(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment, sentence = REFUSED[name]
    with pytest.raises(ConfigurationError) as refused:
        settings_of(environment, monkeypatch)
    assert str(refused.value) == sentence
    assert not any(value in sentence for value in environment.values() if len(value) > 20)


ACCEPTED: dict[str, tuple[Environment, str | None]] = {
    "secret": ({"BETTER_AUTH_SECRET": SECRET}, None),
    "32 bytes in fewer characters": ({"BETTER_AUTH_SECRET": "ü" * 16}, None),
    "URL": ({"BETTER_AUTH_URL": URL}, f"{URL}/api/auth/jwks"),
    "URL with a slash": ({"BETTER_AUTH_URL": f"{URL}/"}, f"{URL}/api/auth/jwks"),
    "URL with a path": (
        {"BETTER_AUTH_URL": f"{URL}/my-api/auth"},
        f"{URL}/my-api/auth/api/auth/jwks",
    ),
    "keys below /api/auth": (
        {"BETTER_AUTH_URL": URL, "JWKS_URL": f"{URL}/api/auth"},
        f"{URL}/api/auth",
    ),
    "both": ({"BETTER_AUTH_SECRET": SECRET, "BETTER_AUTH_URL": URL}, f"{URL}/api/auth/jwks"),
    "keys elsewhere": ({"BETTER_AUTH_URL": URL, "JWKS_URL": f"{URL}/keys"}, f"{URL}/keys"),
    "keys with issuer and audience": (
        {"JWKS_URL": f"{URL}/k", "TASKAPI_JWT_ISSUER": "i", "TASKAPI_JWT_AUDIENCE": "a"},
        f"{URL}/k",
    ),
    **{
        url: ({"BETTER_AUTH_URL": url}, f"{url}/api/auth/jwks")
        for url in ("http://localhost:3000", "http://127.0.0.1", "http://127.1.2.3", "http://[::1]")
    },
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_safe_settings_are_accepted(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control."""
    environment, keys_url = ACCEPTED[name]
    settings = settings_of(environment, monkeypatch)
    authenticator = authenticator_for(settings)
    assert settings.keys_url == keys_url
    assert (authenticator.jwks.url if authenticator.jwks else None) == keys_url


ISSUER, AUDIENCE = "https://issuer.example", "our-api"
# Settings, and the issuer and audience that a token of the key set must name with them.
NAMED: dict[str, tuple[Environment, str, str]] = {
    "the URL": ({"BETTER_AUTH_URL": URL}, URL, URL),
    "an issuer": ({"BETTER_AUTH_URL": URL, "TASKAPI_JWT_ISSUER": ISSUER}, ISSUER, URL),
    "an audience": ({"BETTER_AUTH_URL": URL, "TASKAPI_JWT_AUDIENCE": AUDIENCE}, URL, AUDIENCE),
    "both, and no URL": (
        {"TASKAPI_JWT_ISSUER": ISSUER, "TASKAPI_JWT_AUDIENCE": AUDIENCE},
        ISSUER,
        AUDIENCE,
    ),
}


@pytest.mark.parametrize("name", NAMED)
async def test_tokens_of_the_key_set_must_name_what_the_settings_say(
    name: str, jwks_server: JwksServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment, issuer, audience = NAMED[name]
    settings = settings_of({**environment, "JWKS_URL": jwks_server.url}, monkeypatch)
    authenticator = authenticator_for(settings)
    await authenticator.open()
    signer = key_signer()
    for iss in (ISSUER, URL):
        for aud in (AUDIENCE, URL):
            token = signer.token("alice", iss=iss, aud=aud)
            if (iss, aud) == (issuer, audience):
                assert await identify(authenticator, token) == "alice"
            else:
                assert await refusal_code(authenticator, token) == "token_invalid"
    await authenticator.close()


@pytest.mark.parametrize("name", ["TASKAPI_JWT_ISSUER", "TASKAPI_JWT_AUDIENCE"])
async def test_tokens_of_the_shared_secret_must_name_what_is_set(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """BETTER_AUTH_URL says nothing about them. The control is the claim that is not set."""
    environment = {"BETTER_AUTH_SECRET": SECRET, "BETTER_AUTH_URL": URL, name: "this"}
    authenticator = authenticator_for(settings_of(environment, monkeypatch))
    claim, other = ("iss", "aud") if name == "TASKAPI_JWT_ISSUER" else ("aud", "iss")
    signer = secret_signer(SECRET)
    assert await identify(authenticator, signer.token("a", **{claim: "this"})) == "a"
    assert await identify(authenticator, signer.token("a", **{claim: "this", other: "x"})) == "a"
    for claims in ({claim: "that"}, {claim: URL}, {}):
        assert await refusal_code(authenticator, signer.token("a", **claims)) == "token_invalid"


def test_several_previous_secrets_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    others = ["x" * 32, "y" * 32]
    settings = settings_of(
        {
            "BETTER_AUTH_SECRET": SECRET,
            "BETTER_AUTH_SECRET_PREVIOUS": f" {others[0]} ,{others[1]},",
        },
        monkeypatch,
    )
    assert [secret.get_secret_value() for secret in settings.secrets] == [SECRET, *others]


def test_printed_settings_contain_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of(
        {"BETTER_AUTH_SECRET": SECRET, "BETTER_AUTH_SECRET_PREVIOUS": "p" * 40}, monkeypatch
    )
    for printed in (repr(settings), str(settings), settings.model_dump_json()):
        assert SECRET not in printed
        assert "p" * 40 not in printed
