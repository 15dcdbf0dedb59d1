"""The environment of a server, as /etc/taskapi.env would have it."""

from __future__ import annotations

import pytest

from support.api_server import SECRET


@pytest.fixture
def variables(url: str) -> dict[str, str]:
    return {"DATABASE_URL": url, "BETTER_AUTH_SECRET": SECRET, "TASKAPI_LOG_FORMAT": "json"}
