"""Fixtures of the tests of faults. Every module's logs and answers are searched when it is done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from faults.faulty_proxy import FaultyProxy, behind, proxy_for
from faults.replicated_postgres import ReplicatedPostgres, replicated_postgres
from faults.revisions import (
    CodeAhead,
    SettledRevision,
    code_with_a_revision_more,
    legal_schemas,
    settled,
)
from faults.servers_on_one_socket import MakeServers, ServersOnOneSocket
from support.forbidden_text import no_forbidden_text
from support.schema_dump import Dump
from taskcore import embedded
from taskcore.testing import database


@pytest.fixture(scope="module", autouse=True)
def _no_forbidden_text(
    postgres: embedded.Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """Set up before a module's servers, and so done when they have ended."""
    password = urlsplit(postgres.url).password
    assert password
    with no_forbidden_text(tmp_path_factory.getbasetemp(), password):
        yield


@pytest.fixture
def faulty_proxy(url: str) -> Iterator[FaultyProxy]:
    """A proxy in front of the shared server."""
    with proxy_for(url) as proxy:
        yield proxy


@pytest.fixture
def faulty_url(faulty_proxy: FaultyProxy, url: str) -> str:
    """The shared database, reached through the proxy."""
    return behind(faulty_proxy, url)


@pytest.fixture
def make_servers(tmp_path: Path) -> Iterator[MakeServers]:
    """Servers that share one listening socket: `make_servers(url).start()`."""
    with ExitStack() as stack:

        def make(database_url: str, **settings: str) -> ServersOnOneSocket:
            servers = ServersOnOneSocket(database_url, tmp_path, settings)
            stack.callback(servers.close)
            return servers

        yield make


@pytest.fixture
def replicated(tmp_path: Path) -> Iterator[ReplicatedPostgres]:
    """A primary and a standby of this test's own, which may end the primary for good."""
    with replicated_postgres(tmp_path / "primary") as replicated:
        yield replicated


@pytest.fixture
def code_ahead(tmp_path: Path) -> CodeAhead:
    """A taskcore with one more revision, of two statements: the PYTHONPATH that leads to it."""
    return lambda up, down: code_with_a_revision_more(tmp_path / "ahead", up, down)


@pytest.fixture(scope="session")
def _legal_schemas(postgres: embedded.Server, dump: Dump) -> dict[str | None, list[list[str]]]:
    with database(postgres) as url:
        return legal_schemas(url, dump)


@pytest.fixture
def settled_revision(
    _legal_schemas: dict[str | None, list[list[str]]], dump: Dump
) -> SettledRevision:
    """The revision of a database once no other session is left; it may not be half applied."""
    return lambda url: settled(url, _legal_schemas, dump)
