"""`token` makes tokens that the server accepts; `--inspect` says why it would refuse one."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable

import jwt
import pytest

from support.api_server import SECRET, Api, token
from support.command import Cli
from support.ports import closed_port


def test_the_server_accepts_a_made_token(
    cli: Cli, api: Api, url: str, alice: str, secret: str
) -> None:
    settings = {"DATABASE_URL": url, "BETTER_AUTH_SECRET": secret}
    made = cli("token", "--user", alice, "--ttl", "15m", **settings)
    assert made.code == 0
    text = made.out.strip()
    with api.client(Authorization=f"Bearer {text}") as client:
        assert client.get("/api/tasks").status_code == 200
    claims = jwt.decode(text, secret, ["HS256"])
    assert claims["sub"] == alice
    assert claims["exp"] - claims["iat"] == 900
    inspected = cli("token", "--inspect", text, "--json", **settings)
    assert (inspected.code, inspected.json) == (
        0,
        {"valid": True, "user_id": alice, "user_exists": True},
    )


def test_the_json_has_the_token_its_user_and_its_expiry(
    cli: Cli, url: str, alice: str, secret: str
) -> None:
    made = cli("token", "--user", alice, "--json", DATABASE_URL=url, BETTER_AUTH_SECRET=secret).json
    assert set(made) == {"token", "user_id", "expires_at"}
    assert abs(made["expires_at"] - time.time() - 3600) < 60


def test_issuer_and_audience_are_the_configured_ones(
    cli: Cli, url: str, alice: str, secret: str
) -> None:
    named = {"TASKAPI_JWT_ISSUER": "https://a.example", "TASKAPI_JWT_AUDIENCE": "tasks"}
    settings = {"DATABASE_URL": url, "BETTER_AUTH_SECRET": secret, **named}
    text = cli("token", "--user", alice, **settings).out.strip()
    assert cli("token", "--inspect", "-", stdin=text, **settings).out.strip() == alice
    without = {**settings, "TASKAPI_JWT_AUDIENCE": "others"}
    assert cli("token", "--inspect", "-", stdin=text, **without).code == 1


def test_no_token_is_made_for_an_unknown_user(cli: Cli, url: str, secret: str) -> None:
    done = cli("token", "--user", "unknown", DATABASE_URL=url, BETTER_AUTH_SECRET=secret)
    assert (done.code, done.out) == (1, "")
    assert "no user 'unknown'" in done.err


REFUSED: dict[str, Callable[[], str]] = {
    "token_expired": lambda: token("ada", lifetime=-3600),
    "token_not_yet_valid": lambda: token("ada", nbf=int(time.time()) + 3600),
    "token_invalid": lambda: token("ada", secret="another secret that is long enough as well"),
    "token_malformed": lambda: "no.token",
}


@pytest.mark.parametrize("code", REFUSED)
def test_inspect_gives_the_code_of_a_refused_token(cli: Cli, secret: str, code: str) -> None:
    text = REFUSED[code]()
    settings = {"DATABASE_URL": "postgresql://unused", "BETTER_AUTH_SECRET": secret}
    done = cli("token", "--inspect", text, "--json", **settings)
    assert done.code == 1
    assert set(done.json) == {"valid", "code", "reason"}
    assert done.json["valid"] is False
    assert done.json["code"] == code
    assert done.err.startswith("taskcli: the token would be refused: ")


@pytest.mark.parametrize(
    "wrong", [[], ["--user", "a", "--inspect", "b"], ["--user", "a", "--ttl", "soon"]]
)
def test_invalid_options_are_wrong_use(cli: Cli, secret: str, wrong: list[str]) -> None:
    done = cli("token", *wrong, DATABASE_URL="postgresql://x", BETTER_AUTH_SECRET=secret)
    assert done.code == 2


def test_without_a_secret_the_message_names_the_variable(cli: Cli, url: str) -> None:
    done = cli("token", "--user", "a", DATABASE_URL=url)
    assert done.code == 2
    assert "BETTER_AUTH_SECRET" in done.err


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"BETTER_AUTH_SECRET": "another secret, which is as long as it has to be"}, "signed"),
        ({"TASKAPI_JWT_ISSUER": "https://another.example"}, "issuer"),
        ({"TASKAPI_JWT_AUDIENCE": "https://another.example"}, "audience"),
    ],
    ids=["key", "issuer", "audience"],
)
def test_inspect_names_the_claim_where_the_api_says_token_invalid(
    cli: Cli, settings: dict[str, str], reason: str
) -> None:
    text = token("ada")
    ours = {"DATABASE_URL": "postgresql://unused", "BETTER_AUTH_SECRET": SECRET}
    assert cli("token", "--inspect", text, **ours).code == 0
    done = cli("token", "--inspect", text, "--json", **{**ours, **settings})
    assert done.json["code"] == "token_invalid"
    assert reason in done.json["reason"]


def test_inspect_refuses_a_user_whom_the_database_does_not_know(
    cli: Cli, url: str, alice: str
) -> None:
    ours = {"DATABASE_URL": url, "BETTER_AUTH_SECRET": SECRET}
    done = cli("token", "--inspect", token("nobody"), "--json", **ours)
    assert done.code == 1
    assert done.json["code"] == "user_unknown"
    assert "there is no user 'nobody'" in done.err
    assert cli("token", "--inspect", token(alice), **ours).code == 0


def test_inspect_without_a_database_says_that_the_user_was_not_looked_up(cli: Cli) -> None:
    with closed_port() as port:
        ours = {"DATABASE_URL": f"postgresql://x@127.0.0.1:{port}/x", "BETTER_AUTH_SECRET": SECRET}
        done = cli("token", "--inspect", token("ada"), **ours)
        in_json = cli("token", "--inspect", token("ada"), "--json", **ours).json
    assert (done.code, done.out) == (0, "ada\n")
    assert "if this user exists: nothing answers where the database should be" in done.err
    assert in_json == {"valid": True, "user_id": "ada", "user_exists": None}


SESSION_TOKEN = "k3JdP9xQ2mVb7LcZ5tRw8YfN1hGs4AeU"
UNUSED = "postgresql://unused"
# Of tokens that are made before the first test of a run: it may be the last one to use them.
LONG = 24 * 60 * 60
WITH_KEYS = {"DATABASE_URL": UNUSED, "BETTER_AUTH_URL": "http://127.0.0.1:9"}


@pytest.mark.parametrize(
    ("text", "settings", "sentences"),
    [
        (
            token("ada", lifetime=LONG, iss="https://a.example"),
            {"TASKAPI_JWT_ISSUER": "https://b.example"},
            ["iss) is 'https://a.example', and 'https://b.example' is wanted (TASKAPI_JWT_ISSUER"],
        ),
        (
            token("ada", lifetime=LONG, aud=["one", "two"]),
            {"TASKAPI_JWT_AUDIENCE": "tasks"},
            ["aud) is ['one', 'two'], and 'tasks' is wanted (TASKAPI_JWT_AUDIENCE)"],
        ),
        (
            token("ada", lifetime=LONG),
            {"TASKAPI_JWT_AUDIENCE": "tasks"},
            ["its audience (aud) is missing, and 'tasks' is wanted"],
        ),
        (SESSION_TOKEN, {}, ["it is no JWT", "session token", "client.token()"]),
        (f"{SESSION_TOKEN}.aGVsbG8%3D", {}, ["it is no JWT", "session token"]),
        ("no.token", {}, ["it is no JWT"]),
        ("a" * 9000, {}, ["it is longer than 8192 bytes"]),
    ],
    ids=["issuer", "audience", "no audience", "session token", "cookie", "no JWT", "long"],
)
def test_inspect_says_what_was_found_what_is_wanted_and_which_variable_sets_it(
    cli: Cli, text: str, settings: dict[str, str], sentences: list[str]
) -> None:
    ours = {"DATABASE_URL": UNUSED, "BETTER_AUTH_SECRET": SECRET}
    done = cli("token", "--inspect", text, **ours, **settings)
    assert done.code == 1
    for sentence in sentences:
        assert sentence in done.err
    if text == "no.token":
        assert "session token" not in done.err


def test_inspect_names_the_variable_of_the_method_that_is_not_set(cli: Cli) -> None:
    done = cli("token", "--inspect", token("ada"), **WITH_KEYS)
    assert "its alg is HS256, but no BETTER_AUTH_SECRET is set" in done.err
    header = base64.urlsafe_b64encode(b'{"alg":"EdDSA"}').rstrip(b"=").decode()
    other = ".".join([header, *token("ada").split(".")[1:]])
    ours = {"DATABASE_URL": UNUSED, "BETTER_AUTH_SECRET": SECRET}
    done = cli("token", "--inspect", other, **ours)
    assert "its alg is EdDSA, but no BETTER_AUTH_URL is set" in done.err
