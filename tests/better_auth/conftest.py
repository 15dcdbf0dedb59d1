"""The fixture of the tests with Better Auth; it needs Node, and `npm ci` in this folder."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from support.better_auth import BetterAuth, StartAuth, running_better_auth


@pytest.fixture
def start_auth(empty_url: str, tmp_path: Path) -> StartAuth:
    """Start Better Auth on a database of this test: `with start_auth(KEY_ALGORITHM="ES256")`."""

    def start(**settings: str) -> AbstractContextManager[BetterAuth]:
        return running_better_auth(empty_url, tmp_path, settings)

    return start
