"""ETags: of a task its version, of a list a digest of its bytes. All are strong."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

Versions: TypeAlias = Sequence[datetime]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_TAG = re.compile(r'(W/)?"([^"]*)"')
_TAGS = re.compile(rf"[ \t,]*{_TAG.pattern}([ \t]*,[ \t,]*{_TAG.pattern})*[ \t,]*")
# At most the digits of the largest datetime, and no leading zero: one version has one tag.
_VERSION = re.compile(r"[1-9a-f][0-9a-f]{0,13}")


def of_version(version: datetime) -> str:
    return f'"{(version - _EPOCH) // _MICROSECOND:x}"'


def of_bytes(body: bytes) -> str:
    return of_sha256(hashlib.sha256(body).hexdigest())


def of_sha256(hexdigest: str) -> str:
    return f'"{hexdigest[:32]}"'


def matching_versions(if_match: str) -> Versions | None:
    """The versions that If-Match names: None for `*`, an empty list if no tag is a version."""
    if if_match.strip() == "*":
        return None
    strong = [tag for weak, tag in _tags(if_match) if not weak]
    return [_EPOCH + int(tag, 16) * _MICROSECOND for tag in strong if _VERSION.fullmatch(tag)]


def is_known(etag: str, if_none_match: str | None) -> bool:
    """Whether If-None-Match names this ETag, so that the answer is 304."""
    if if_none_match is None:
        return False
    tags = (tag for _, tag in _tags(if_none_match))
    return if_none_match.strip() == "*" or etag.strip('"') in tags


def _tags(header: str) -> list[tuple[str, str]]:
    """Pairs of weakness prefix (`W/` or empty) and tag; empty if the header is malformed."""
    return _TAG.findall(header) if _TAGS.fullmatch(header) else []
