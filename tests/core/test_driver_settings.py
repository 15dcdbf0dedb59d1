"""A driver refuses invalid settings before it opens a connection."""

from __future__ import annotations

from typing import Any

import pytest

from taskcore import AsyncDatabase, Database, InvalidInput

UNREACHABLE = "postgresql://unused@127.0.0.1:1/unused"


@pytest.mark.parametrize("driver", [Database, AsyncDatabase])
@pytest.mark.parametrize(
    "settings",
    [
        {"timeout": 0},
        {"pool_timeout": 0},
        {"statement_timeout": 0},
        {"statement_timeout": -1},
        {"max_size": 0},
        {"min_size": 3, "max_size": 2},
    ],
    ids=str,
)
def test_invalid_settings_are_refused(driver: type[Database], settings: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        driver(UNREACHABLE, **settings)


@pytest.mark.parametrize("driver", [Database, AsyncDatabase])
def test_valid_settings_are_accepted(driver: type[Database]) -> None:
    driver(UNREACHABLE, timeout=1, pool_timeout=0.5, statement_timeout=0.5, min_size=0, max_size=1)
