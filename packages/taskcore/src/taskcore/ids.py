"""The ids of tasks: made here, before the statement is sent, so that a create can be repeated."""

from __future__ import annotations

import hashlib
import secrets
import time
from uuid import UUID

_VARIANT = 0b10 << 62


def new_task_id() -> UUID:
    """A UUIDv7 with the fraction of the millisecond after it: ids sort as they were made."""
    milliseconds, fraction = divmod(time.time_ns(), 1_000_000)
    high = (milliseconds & 0xFFFF_FFFF_FFFF) << 16 | 0x7 << 12 | fraction * 4096 // 1_000_000
    return UUID(int=high << 64 | _VARIANT | secrets.randbits(62))


def derived_task_id(owner: str, key: str) -> UUID:
    """The UUIDv8 that this owner's idempotency key always leads to."""
    # The owner's length keeps ("ab", "c") and ("a", "bc") apart.
    owner_bytes = owner.encode()
    digest = hashlib.sha256(b"taskcore:%d:%b:%b" % (len(owner_bytes), owner_bytes, key.encode()))
    number = int.from_bytes(digest.digest()[:16], "big")
    high = (number >> 64) & ~(0xF << 12) | 0x8 << 12
    return UUID(int=high << 64 | _VARIANT | number & (1 << 62) - 1)
