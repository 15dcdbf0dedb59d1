"""Databases that count as distributed, on a server with the stand-in for Citus's calls."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from support.citus_stand_in import binaries
from support.postgres import VERSION, running
from support.sql import run_sql
from taskcore import embedded, migrations
from taskcore.testing import database


@pytest.fixture(scope="session")
def citus_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[embedded.Server]:
    """A server that knows the extension."""
    with ExitStack() as stack:
        with binaries(VERSION):  # only now: tests of other servers may run before its end
            server = stack.enter_context(running(tmp_path_factory.getbasetemp(), "citus"))
        yield server


@pytest.fixture
def citus(citus_server: embedded.Server) -> Iterator[embedded.Server]:
    """The same server without the tenant role."""
    yield citus_server
    run_sql(citus_server.url, "DROP ROLE IF EXISTS taskcore_tenant")


@pytest.fixture
def sibling_url(citus: embedded.Server) -> Iterator[str]:
    """An empty database of that server without the extension."""
    with database(citus) as url:
        yield url


@pytest.fixture
def citus_url(citus: embedded.Server) -> Iterator[str]:
    """An empty database of that server with the extension."""
    with database(citus) as url:
        run_sql(url, "CREATE EXTENSION citus")
        yield url


@pytest.fixture
def distributed_url(citus_url: str) -> str:
    migrations.upgrade(citus_url)
    assert migrations.distribute(citus_url)
    return citus_url
