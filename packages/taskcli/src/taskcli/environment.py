"""The settings: flags before the environment before the file .env in the working directory.

They are put into the environment of this process, which taskapi and taskcore read, and their source
is kept for `taskcli config`. Only variables that one of the three packages reads are taken from the
file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from .failures import WrongUse

if TYPE_CHECKING:
    from taskapi.settings import Settings

FILE = Path(".env")
DATABASE = "DATABASE_URL"
DIRECT = "DATABASE_URL_UNPOOLED"
SECRET = "BETTER_AUTH_SECRET"  # noqa: S105 - the name of the variable
USERS_TABLE = "TASKCORE_USERS_TABLE"

_PREFIXES = ("TASKAPI_", "TASKCORE_", "BETTER_AUTH_", "OTEL_")
_NAMES = frozenset(
    {DATABASE, DIRECT, "JWKS_URL", "CORS_ORIGINS", "HOST", "PORT", "WEB_CONCURRENCY"}
)

sources: dict[str, str] = {}
"""Where the variables that a flag or the file set came from; others were in the environment."""


def is_read(name: str) -> bool:
    """Whether one of the three packages reads this variable."""
    return name in _NAMES or name.startswith(_PREFIXES)


def load(flags: Mapping[str, str | None]) -> None:
    """Put flags (by the name of their variable) and the file .env into the environment."""
    # If packets are dropped without an answer, connecting would otherwise take two minutes.
    os.environ.setdefault("PGCONNECT_TIMEOUT", "10")
    for name, value in flags.items():
        if value is not None:
            put(name, value, "flag")
    if flags.get(DATABASE) is not None:
        os.environ.pop(DIRECT, None)
    # If a flag or the environment names the database, the file's direct URL may be of another one.
    database_given = DATABASE in os.environ
    for name, value in _file().items():
        if name not in os.environ and not (name == DIRECT and database_given):
            put(name, value, FILE.name)


def put(name: str, value: str, source: str) -> None:
    """Set a variable of this process, and remember where its value came from."""
    os.environ[name] = value
    sources[name] = source


def _file() -> dict[str, str]:
    if not FILE.is_file():
        return {}
    from dotenv import dotenv_values

    try:
        found = dotenv_values(FILE, interpolate=False)
    except (OSError, UnicodeDecodeError) as error:
        raise WrongUse(f"the file {FILE} in this directory can't be read ({error})") from error
    return {name: value for name, value in found.items() if value and is_read(name)}


def database_url() -> str:
    """The URL that the server uses, pooled or direct."""
    url = os.environ.get(DATABASE)
    if not url:
        raise WrongUse(
            f"set {DATABASE} to a PostgreSQL URL (in the environment or in the file .env), or run "
            "`taskcli dev`, which starts a database of its own"
        )
    return url


def operator_url() -> str:
    """The URL for migrations and administration; taskcore makes a pooled URL of Neon direct."""
    return os.environ.get(DIRECT) or database_url()


def settings() -> Settings:
    """The server's settings; WrongUse says which are missing or wrong."""
    from taskapi.settings import ConfigurationError, Settings

    try:
        return Settings.from_environment()
    except ConfigurationError as error:
        raise WrongUse(str(error)) from None
