"""Where settings come from: flags over the environment over the file .env in the working directory.

What is found is put into the environment of this process, where taskapi and taskcore look, and
remembered for `taskcli config`. Only variables that one of the three packages reads are taken out
of the file.
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
SECRET = "BETTER_AUTH_SECRET"  # noqa: S105 - its name
USERS_TABLE = "TASKCORE_USERS_TABLE"

_PREFIXES = ("TASKAPI_", "TASKCORE_", "BETTER_AUTH_", "OTEL_")
_NAMES = frozenset(
    {DATABASE, DIRECT, "JWKS_URL", "CORS_ORIGINS", "HOST", "PORT", "WEB_CONCURRENCY"}
)

sources: dict[str, str] = {}
"""Which variables a flag or the file has set; the others were in the environment."""


def is_read(name: str) -> bool:
    """Whether a variable means anything to us."""
    return name in _NAMES or name.startswith(_PREFIXES)


def load(flags: Mapping[str, str | None]) -> None:
    """Gather the settings; a flag is given by the variable that it stands above."""
    # A whole and silent network must not hold an operator for libpq's two minutes.
    os.environ.setdefault("PGCONNECT_TIMEOUT", "10")
    for name, value in flags.items():
        if value is not None:
            put(name, value, "flag")
    if flags.get(DATABASE) is not None:
        os.environ.pop(DIRECT, None)
    # A database named in one place and its direct URL in a weaker one are two databases.
    named = DATABASE in os.environ
    for name, value in _file().items():
        if name not in os.environ and not (name == DIRECT and named):
            put(name, value, FILE.name)


def put(name: str, value: str, source: str) -> None:
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
            f"set {DATABASE} to a PostgreSQL URL (a line in the file .env here will do), or run "
            "`taskcli dev`, which brings a database of its own"
        )
    return url


def operator_url() -> str:
    """The URL for what needs a session of its own; taskcore takes a pooler off it."""
    return os.environ.get(DIRECT) or database_url()


def settings() -> Settings:
    """The server's settings, or what is wrong with them."""
    from taskapi.settings import ConfigurationError, Settings

    try:
        return Settings.from_environment()
    except ConfigurationError as error:
        raise WrongUse(str(error)) from None
