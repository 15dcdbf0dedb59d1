"""Whatever breaks here: the logs and the answers of each module are searched when it is done."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from fix_telling import nothing_told
from taskcore import embedded


@pytest.fixture(scope="module", autouse=True)
def _nothing_is_told(
    postgres: embedded.Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """Set up before a module's servers, and so done when they have ended."""
    password = urlsplit(postgres.url).password
    assert password
    with nothing_told(tmp_path_factory.getbasetemp(), password):
        yield
