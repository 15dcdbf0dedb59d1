"""`taskcli config`: the settings in force, and where each came from."""

from __future__ import annotations

import os
import re

from . import environment, output
from .verbs import Json


def config(as_json: Json = False) -> None:
    """Print the settings in force, and where each came from.

    In this order, a setting comes from a flag, the environment, the file .env in the working
    directory, or its default. Secrets and passwords are not shown.
    """
    output.rows(in_force(), as_json=as_json, columns=("name", "value", "source"))


def in_force() -> list[dict[str, str | None]]:
    """Each setting with its value and its source; secrets and passwords are masked."""
    from pydantic import SecretStr

    from taskapi.settings import Settings, variable

    names = {variable(field): info for field, info in Settings.model_fields.items()}
    secret = {
        name for name, info in names.items() if SecretStr.__name__ in str(info.annotation)
    } | {environment.DIRECT}
    records: list[dict[str, str | None]] = []
    for name in (*names, environment.DIRECT, environment.USERS_TABLE):
        given = os.environ.get(name)
        default = names[name].get_default() if name in names else None
        source = environment.sources.get(name, "environment") if given else "default"
        value = given or _as_variable(default)
        records.append(
            {
                "name": name,
                "value": masked(value) if value and name in secret else value,
                "source": source,
            }
        )
    return records


def masked(value: str) -> str:
    """A URL without its password; for any other text, only its length."""
    url = re.match(r"([\w+]+://)(?:([^:@/?#]*)(?::[^@]*)?@)?([^@]*)$", value)
    if url is None:
        return f"({len(value.encode())} bytes)"
    scheme, login, rest = url.groups()
    rest = re.sub(r"((?:password|sslpassword)=)[^&]*", r"\1***", rest)
    return f"{scheme}{f'{login}:***@' if login else ''}{rest}"


def _as_variable(default: object) -> str | None:
    """A default as it would be set in the environment."""
    if default is None or default == () or "Undefined" in type(default).__name__:
        return None
    if isinstance(default, tuple):
        return ",".join(map(str, default))
    return str(default).lower() if isinstance(default, bool) else str(default)
