"""The ids of tasks, made before the statement is sent, so that a create can be repeated."""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from uuid import UUID

from taskcore.errors import InvalidInput

IDEMPOTENCY_KEY_PATTERN = "^[!-~]+$"
"""An idempotency key is made of visible ASCII characters."""
IDEMPOTENCY_KEY_MAX_LENGTH = 255

_VARIANT = 0b10 << 62


def new_task_id() -> UUID:
    """Return a UUIDv7 with the fraction of the millisecond in it: ids sort in creation order."""
    milliseconds, fraction = divmod(time.time_ns(), 1_000_000)
    high = (milliseconds & 0xFFFF_FFFF_FFFF) << 16 | 0x7 << 12 | fraction * 4096 // 1_000_000
    return UUID(int=high << 64 | _VARIANT | secrets.randbits(62))


def derived_task_id(owner: str, idempotency_key: str) -> UUID:
    """Return the UUIDv8 that this owner's idempotency key always gives."""
    # The owner's length keeps ("ab", "c") and ("a", "bc") apart.
    owner_bytes, key_bytes = owner.encode(), idempotency_key.encode()
    digest = hashlib.sha256(b"taskcore:%d:%b:%b" % (len(owner_bytes), owner_bytes, key_bytes))
    number = int.from_bytes(digest.digest()[:16], "big")
    high = (number >> 64) & ~(0xF << 12) | 0x8 << 12
    return UUID(int=high << 64 | _VARIANT | number & (1 << 62) - 1)


def valid_idempotency_key(key: object) -> str:
    """Return the key; InvalidInput if it cannot be one."""
    if (
        not isinstance(key, str)
        or len(key) > IDEMPOTENCY_KEY_MAX_LENGTH
        or not re.fullmatch(IDEMPOTENCY_KEY_PATTERN, key)
    ):
        raise InvalidInput(
            f"idempotency_key must have 1 to {IDEMPOTENCY_KEY_MAX_LENGTH} visible ASCII characters"
        )
    return key
