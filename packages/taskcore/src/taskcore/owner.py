"""What an owner's id may be, and which texts PostgreSQL can store."""

from __future__ import annotations

import re

from .errors import InvalidInput

_LONGEST = 255
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def storable_text(text: str) -> str:
    """Return the text; ValueError if PostgreSQL could not store it or UTF-8 not encode it."""
    if _UNSTORABLE.search(text):
        raise ValueError("must not contain a NUL character or a lone surrogate")
    return text


def valid_owner(owner: object) -> str:
    """Return the owner's id; InvalidInput if it cannot be one."""
    if not isinstance(owner, str):
        raise InvalidInput("owner must be a string")
    if not 1 <= len(owner) <= _LONGEST:
        raise InvalidInput(f"owner must have 1 to {_LONGEST} characters")
    try:
        return storable_text(owner)
    except ValueError as error:
        raise InvalidInput(f"owner {error}") from None
