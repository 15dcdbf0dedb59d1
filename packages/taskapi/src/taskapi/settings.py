"""The settings of the server, read from the environment and checked before it starts."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AliasChoices,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from taskcore import TaskcoreError
from taskcore.urls import libpq_conninfo

_SHORTEST_SECRET = 32
# Where Better Auth answers, below its base URL.
_BASE_PATH = "/api/auth"
# Better Auth's default secret, which it signs with where none is set. It is public.
_PUBLISHED_SECRET = "better-auth-secret-12345678901234567890"  # noqa: S105


class ConfigurationError(TaskcoreError):
    """The configuration is not usable."""


def _named(name: str) -> AliasChoices:
    """A variable without the prefix TASKAPI_."""
    return AliasChoices(name, name.lower())


class Settings(BaseSettings):
    """Environment variables; a field without an alias is `TASKAPI_` and its name."""

    model_config = SettingsConfigDict(
        env_prefix="TASKAPI_", extra="ignore", frozen=True, env_ignore_empty=True
    )

    database_url: SecretStr = Field(
        validation_alias=_named("DATABASE_URL"),
        description="The PostgreSQL URL of the database, pooled or direct.",
    )
    better_auth_secret: SecretStr | None = Field(
        default=None,
        validation_alias=_named("BETTER_AUTH_SECRET"),
        description="Secret that HS256 tokens are signed with, at least 32 bytes.",
    )
    better_auth_secret_previous: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        default=(),
        validation_alias=_named("BETTER_AUTH_SECRET_PREVIOUS"),
        description="Earlier secrets, still accepted during a rotation, separated by commas.",
    )
    better_auth_url: str | None = Field(
        default=None,
        validation_alias=_named("BETTER_AUTH_URL"),
        description="Better Auth's base URL: tokens are verified with its keys, and must name it.",
    )
    jwks_url: str | None = Field(
        default=None,
        validation_alias=_named("JWKS_URL"),
        description="URL of the key set, if it is not BETTER_AUTH_URL/api/auth/jwks.",
    )
    jwt_issuer: str | None = Field(
        default=None,
        description="Issuer that tokens must name; with a key set, BETTER_AUTH_URL by default.",
    )
    jwt_audience: str | None = Field(
        default=None,
        description="Audience that tokens must name; with a key set, BETTER_AUTH_URL by default.",
    )
    jwt_leeway: float = Field(
        default=30.0, ge=0, le=600, description="Seconds by which clocks may differ."
    )
    jwks_stale_limit: float = Field(
        default=86_400.0,
        ge=600,
        description="Seconds for which fetched keys are used while their URL does not answer.",
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        default=("http://localhost:3000",),
        validation_alias=_named("CORS_ORIGINS"),
        description="Origins whose pages may call the API, separated by commas.",
    )
    host: str = Field(
        default="127.0.0.1",
        validation_alias=_named("HOST"),
        description="Address to listen on.",
    )
    port: int = Field(
        default=8000,
        ge=0,
        le=65535,
        validation_alias=_named("PORT"),
        description="Port to listen on.",
    )
    pool_size: int = Field(
        default=10,
        ge=1,
        le=1000,
        description="Database connections at most, per process.",
    )
    pool_wait: float = Field(
        default=5.0, gt=0, le=3600, description="Seconds that a request may wait for a connection."
    )
    pool_queue: int = Field(
        default=100, ge=1, description="Requests that may wait for a connection at once."
    )
    deadline: float = Field(
        default=5.0,
        gt=0,
        le=3600,
        description="Seconds for everything that a request does in the database.",
    )
    statement_timeout: float = Field(
        default=5.0, gt=0, le=3600, description="Seconds for one statement, enforced by the server."
    )
    transaction_pooler: bool | None = Field(
        default=None,
        description="Whether the URL is a transaction pooler's; by default the host name decides.",
    )
    body_limit: int = Field(default=256 * 1024, ge=1, description="Largest request body, in bytes.")
    hide_foreign_tasks: bool = Field(
        default=False, description="Answer 404 instead of 403 for another user's task."
    )
    drain_seconds: float = Field(
        default=5.0,
        ge=0,
        le=3600,
        description="Seconds from SIGTERM, when /health/ready starts to fail, to closing the port.",
    )
    log_format: Literal["auto", "json", "text"] = Field(
        default="auto",
        description="json, text, or auto: text on a terminal, else json.",
    )
    docs: bool = Field(default=True, description="Whether /docs is served.")

    @field_validator("database_url")
    @classmethod
    def _valid_url(cls, url: SecretStr) -> SecretStr:
        libpq_conninfo(url.get_secret_value())
        return url

    @field_validator("better_auth_secret")
    @classmethod
    def _strong(cls, secret: SecretStr | None) -> SecretStr | None:
        return secret and _strong(secret)

    @field_validator("better_auth_secret_previous", "cors_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("better_auth_secret_previous")
    @classmethod
    def _all_strong(cls, secrets: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        return tuple(_strong(secret) for secret in secrets)

    @field_validator("better_auth_url", "jwks_url")
    @classmethod
    def _all_encrypted(cls, url: str | None) -> str | None:
        return url and _encrypted(url)

    @field_validator("better_auth_url")
    @classmethod
    def _is_base(cls, url: str | None) -> str | None:
        return url and _without_base_path(url)

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            scheme, separator, host = origin.partition("://")
            if scheme not in ("http", "https") or not separator or not host or "/" in host:
                raise ValueError("each must be an origin such as https://app.example.com")
        return origins

    @model_validator(mode="after")
    def _accepts_tokens(self) -> Self:
        if self.better_auth_secret is None and self.keys_url is None:
            raise ValueError(
                "set BETTER_AUTH_SECRET (tokens signed with the shared secret), "
                "BETTER_AUTH_URL (tokens of Better Auth's jwt plugin), or both"
            )
        if self.better_auth_secret_previous and self.better_auth_secret is None:
            raise ValueError("BETTER_AUTH_SECRET_PREVIOUS needs BETTER_AUTH_SECRET beside it")
        if self.keys_url and not (self.better_auth_url or (self.jwt_issuer and self.jwt_audience)):
            raise ValueError(
                "JWKS_URL needs BETTER_AUTH_URL beside it, or TASKAPI_JWT_ISSUER and "
                "TASKAPI_JWT_AUDIENCE: whose tokens, and for whom, must be known"
            )
        return self

    @property
    def secrets(self) -> tuple[SecretStr, ...]:
        """The current secret and the earlier ones."""
        current = (self.better_auth_secret,) if self.better_auth_secret else ()
        return (*current, *self.better_auth_secret_previous)

    @property
    def keys_url(self) -> str | None:
        """URL of the key set; None if only HS256 tokens are accepted."""
        if self.jwks_url is None and self.better_auth_url is not None:
            return f"{self.better_auth_url.removesuffix('/')}{_BASE_PATH}/jwks"
        return self.jwks_url

    @classmethod
    def from_environment(cls) -> Self:
        """The settings; ConfigurationError with one sentence that names what to set."""
        try:
            return cls()
        except ValidationError as error:
            raise ConfigurationError(_sentence(error)) from None


def _strong(secret: SecretStr) -> SecretStr:
    if len(secret.get_secret_value().encode()) < _SHORTEST_SECRET:
        raise ValueError(
            f"needs at least {_SHORTEST_SECRET} bytes, as `openssl rand -base64 32` prints them"
        )
    if secret.get_secret_value() == _PUBLISHED_SECRET:
        raise ValueError("is Better Auth's published default: set one of your own")
    return secret


def _encrypted(url: str) -> str:
    parts = urlsplit(url)
    host = parts.hostname or ""
    if not host or not (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))):
        raise ValueError("must be an https URL (http only for this machine's own addresses)")
    return url


def _without_base_path(url: str) -> str:
    # Not corrected in silence: tokens must name this value, and `taskcli config` shows it.
    parts = urlsplit(url)
    path = parts.path.rstrip("/").removesuffix("/jwks")
    if path.endswith(_BASE_PATH):
        base = parts._replace(
            netloc=parts.netloc.rpartition("@")[2],
            path=path.removesuffix(_BASE_PATH),
            query="",
            fragment="",
        )
        raise ValueError(f"must not contain {_BASE_PATH}: set it to {base.geturl()}")
    return url


def is_loopback(host: str) -> bool:
    """Whether it is `localhost` or an address of this machine's own."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:  # a host name, not an address
        return False


def variable(name: str) -> str:
    """The environment variable of a field."""
    alias = Settings.model_fields[name].validation_alias
    return str(alias.choices[0]) if isinstance(alias, AliasChoices) else f"TASKAPI_{name.upper()}"


def _sentence(error: ValidationError) -> str:
    """All errors in one line: each names its variable, and none shows a secret."""
    parts = []
    for fault in error.errors(include_input=False, include_url=False):
        where = str(fault["loc"][0]) if fault["loc"] else ""
        name = variable(where) if where in Settings.model_fields else where.upper()
        cause = fault.get("ctx", {}).get("error")
        if fault["type"] == "missing":
            parts.append(f"set {name} ({_purpose(name)})")
        else:
            sentence = str(cause) if isinstance(cause, ValueError) else fault["msg"]
            parts.append(f"{name} {sentence}".strip())
    return "; ".join(parts)


def _purpose(name: str) -> str:
    for field, info in Settings.model_fields.items():
        if variable(field) == name and info.description:
            return info.description[0].lower() + info.description[1:].rstrip(".")
    return "see the README"
