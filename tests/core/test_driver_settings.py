"""A driver refuses settings that make no sense, before it connects to anything."""

from __future__ import annotations

from typing import Any

import pytest

from taskcore import AsyncDatabase, Database, InvalidInput

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"


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
def test_what_makes_no_sense_is_refused(driver: type[Database], settings: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        driver(NOWHERE, **settings)


@pytest.mark.parametrize("driver", [Database, AsyncDatabase])
def test_what_makes_sense_is_taken(driver: type[Database]) -> None:
    driver(NOWHERE, timeout=1, pool_timeout=0.5, statement_timeout=0.5, min_size=0, max_size=1)
