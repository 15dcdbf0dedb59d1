"""Users in a real browser, on a page with Better Auth's own client; the API is on another port.

The page is built for each run, and its types are checked against the OpenAPI document.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from support.api_server import Api
from support.better_auth import BetterAuth, running_better_auth
from taskcore import embedded
from taskcore.testing import database

HERE = Path(__file__).parent
SCENARIOS = sorted(path.stem for path in (HERE / "scenarios").iterdir())
PORT = 3000  # the origin that the API allows by default


@pytest.fixture(scope="session")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the page; return its folder."""
    place = tmp_path_factory.mktemp("page")
    run(["npm", "run", "build", "--", "--outDir", str(place / "dist"), "--emptyOutDir"])
    return place / "dist"


@pytest.fixture(scope="session")
def frontend(
    page: Path, postgres: embedded.Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[BetterAuth]:
    """The server of the page, with Better Auth in it."""
    with suppress(OSError), socket.create_connection(("localhost", PORT), timeout=5):
        pytest.fail(f"something else listens on port {PORT}, where the page must be")
    place = tmp_path_factory.mktemp("frontend")
    settings = {"PORT": str(PORT), "DIST": str(page), "CONFIG": str(place / "config.json")}
    with (
        database(postgres) as url,
        running_better_auth(url, place, settings, HERE / "server.mjs") as auth,
    ):
        yield auth


@pytest.fixture
def api(frontend: BetterAuth) -> Iterator[Api]:
    """An API server of this scenario only, which it may stop."""
    with frontend.api(BETTER_AUTH_SECRET="", TASKAPI_JWT_LEEWAY="0") as api:
        (frontend.place / "config.json").write_text(json.dumps({"api": api.base}))
        yield api


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_scenario_succeeds(scenario: str, frontend: BetterAuth, api: Api) -> None:
    chromium = shutil.which("chromium")
    assert chromium is not None, "needs Debian's chromium"
    run(
        ["node", "run.mjs", scenario],
        CHROMIUM=chromium,
        ORIGIN=frontend.base,
        OTHER_ORIGIN=f"http://127.0.0.1:{PORT}",
        API=api.base,
        API_PID=str(api.process.pid),
    )


def run(command: list[str], **environment: str) -> None:
    """Run the command in this folder; if it fails, its output is the assertion's message."""
    done = subprocess.run(
        command,
        cwd=HERE,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout
