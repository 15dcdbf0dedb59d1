"""What a server is told by its environment, checked before anything starts."""

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

from taskcore import InvalidInput, TaskcoreError
from taskcore.urls import libpq_conninfo

_SHORTEST_SECRET = 32
# What Better Auth signs with when nobody has set a secret: long enough, and known to everybody.
_PUBLISHED_SECRET = "better-auth-secret-12345678901234567890"  # noqa: S105


class ConfigurationError(TaskcoreError):
    """The configuration is not usable."""


def _named(name: str) -> AliasChoices:
    """The variable's own name, without the prefix that the others have."""
    return AliasChoices(name, name.lower())


class Settings(BaseSettings):
    """Variables of the environment; those without a name of their own start with TASKAPI_."""

    model_config = SettingsConfigDict(
        env_prefix="TASKAPI_", extra="ignore", frozen=True, env_ignore_empty=True
    )

    database_url: SecretStr = Field(
        validation_alias=_named("DATABASE_URL"),
        description="Where the tasks are: a PostgreSQL URL, pooled or direct.",
    )
    better_auth_secret: SecretStr | None = Field(
        default=None,
        validation_alias=_named("BETTER_AUTH_SECRET"),
        description="The secret that HS256 tokens are signed with, at least 32 bytes.",
    )
    better_auth_secret_previous: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        default=(),
        validation_alias=_named("BETTER_AUTH_SECRET_PREVIOUS"),
        description="Secrets that are being rotated out and still hold, separated by commas.",
    )
    better_auth_url: str | None = Field(
        default=None,
        validation_alias=_named("BETTER_AUTH_URL"),
        description="Better Auth's base URL: its keys verify tokens, which must name it.",
    )
    jwks_url: str | None = Field(
        default=None,
        validation_alias=_named("JWKS_URL"),
        description="Where the keys are, if not at BETTER_AUTH_URL/api/auth/jwks.",
    )
    jwt_issuer: str | None = Field(
        default=None,
        description="The issuer that tokens must name; for keys, BETTER_AUTH_URL by default.",
    )
    jwt_audience: str | None = Field(
        default=None,
        description="The audience that tokens must name; for keys, BETTER_AUTH_URL by default.",
    )
    jwt_leeway: float = Field(
        default=30.0, ge=0, le=600, description="Seconds that clocks may differ by."
    )
    jwks_stale_limit: float = Field(
        default=86_400.0,
        ge=600,
        description="Seconds that fetched keys hold while their endpoint is away.",
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        default=("http://localhost:3000",),
        validation_alias=_named("CORS_ORIGINS"),
        description="The origins whose pages may call, separated by commas.",
    )
    host: str = Field(
        default="127.0.0.1",
        validation_alias=_named("HOST"),
        description="The address to listen on.",
    )
    port: int = Field(
        default=8000,
        ge=0,
        le=65535,
        validation_alias=_named("PORT"),
        description="The port to listen on.",
    )
    pool_size: int = Field(
        default=10, ge=1, le=1000, description="Connections to the database, per process."
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
        description="Seconds for all that a request does in the database.",
    )
    statement_timeout: float = Field(
        default=5.0, gt=0, le=3600, description="Seconds for one statement, enforced by the server."
    )
    transaction_pooler: bool | None = Field(
        default=None,
        description="Whether a transaction pooler is in front; by default the host's name tells.",
    )
    body_limit: int = Field(default=256 * 1024, ge=1, description="The largest body, in bytes.")
    hide_foreign_tasks: bool = Field(
        default=False, description="Answer 404 instead of 403 for another user's task."
    )
    drain_seconds: float = Field(
        default=5.0,
        ge=0,
        le=3600,
        description="Seconds between not being ready any more and closing.",
    )
    log_format: Literal["auto", "json", "text"] = Field(
        default="auto", description="json, text, or what suits standard error."
    )
    docs: bool = Field(default=True, description="Whether /docs is served.")

    @field_validator("database_url")
    @classmethod
    def _readable(cls, url: SecretStr) -> SecretStr:
        libpq_conninfo(url.get_secret_value())
        return url

    @field_validator("better_auth_secret")
    @classmethod
    def _strong(cls, secret: SecretStr | None) -> SecretStr | None:
        return secret and _strong(secret)

    @field_validator("better_auth_secret_previous", mode="before")
    @classmethod
    def _several(cls, secrets: object) -> object:
        return _separated(secrets)

    @field_validator("better_auth_secret_previous")
    @classmethod
    def _all_strong(cls, secrets: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        return tuple(_strong(secret) for secret in secrets)

    @field_validator("better_auth_url", "jwks_url")
    @classmethod
    def _private(cls, url: str | None) -> str | None:
        return url and _encrypted(url)

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _listed(cls, origins: object) -> object:
        return _separated(origins)

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            scheme, separator, host = origin.partition("://")
            if scheme not in ("http", "https") or not separator or not host or "/" in host:
                raise ValueError("each must be an origin such as https://app.example.com")
        return origins

    @model_validator(mode="after")
    def _lets_somebody_in(self) -> Self:
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
        """All secrets that a token may be signed with."""
        current = (self.better_auth_secret,) if self.better_auth_secret else ()
        return (*current, *self.better_auth_secret_previous)

    @property
    def keys_url(self) -> str | None:
        """Where the key set is; None if no key may let anybody in."""
        if self.jwks_url is None and self.better_auth_url is not None:
            return self.better_auth_url.removesuffix("/") + "/api/auth/jwks"
        return self.jwks_url

    @classmethod
    def from_environment(cls) -> Self:
        """The settings, or one sentence that says what to set."""
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
        raise ValueError("is Better Auth's default, which everybody knows: set one of your own")
    return secret


def _encrypted(url: str) -> str:
    parts = urlsplit(url)
    host = parts.hostname or ""
    if not host or not (parts.scheme == "https" or (parts.scheme == "http" and _is_here(host))):
        raise ValueError("must be an https URL (http only for this machine's own addresses)")
    return url


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:  # a name, whatever it begins with
        return False


def _separated(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def variable(name: str) -> str:
    """The variable that sets a field."""
    alias = Settings.model_fields[name].validation_alias
    return str(alias.choices[0]) if isinstance(alias, AliasChoices) else f"TASKAPI_{name.upper()}"


def _sentence(error: ValidationError) -> str:
    """Every fault in one line, by the variable's name and never with its value."""
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


__all__ = ["ConfigurationError", "InvalidInput", "Settings", "variable"]
