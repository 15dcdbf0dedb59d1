"""Fixtures of the tests of taskcore: sessions, roles, the first lock and the third check off."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from itertools import count

import pytest
from sqlalchemy import Engine, create_engine
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from core.injecting_proxy import InjectingProxy, injecting
from support.drivers import ASYNC_DRIVERS, sqlalchemy_url
from support.postgres import drop_everything, running
from support.sql import PASSWORD, as_login, run_sql
from support.unfiltered import FILTERED, STATEMENTS, unfiltered
from taskcore import AsyncDatabase, embedded
from taskcore.execution import session as sessions
from taskcore.execution import wire
from taskcore.tasks import operations

# --- a host application's engines and sessions, on the shared database ----------------------------


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    engine = create_engine(sqlalchemy_url(url))
    yield engine
    engine.dispose()


# A user can't be removed while a transaction that is still open refers to it: each session ends
# before its users do.


@pytest.fixture
def session(engine: Engine, make_user: object) -> Iterator[Session]:
    with Session(engine) as session:
        yield session


@pytest.fixture(params=ASYNC_DRIVERS)
async def async_engine(url: str, request: pytest.FixtureRequest) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(sqlalchemy_url(url, request.param))
    yield engine
    await engine.dispose()


@pytest.fixture
async def async_session(
    async_engine: AsyncEngine, make_user: object
) -> AsyncIterator[AsyncSession]:
    async with AsyncSession(async_engine) as session:
        yield session


# --- a cluster whose roles a test may change ------------------------------------------------------


@pytest.fixture(scope="session")
def _roles_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[embedded.Server]:
    with running(tmp_path_factory.getbasetemp(), "roles") as server:
        yield server


@pytest.fixture
def roles(_roles_server: embedded.Server) -> Iterator[embedded.Server]:
    """A server without the tenant's role; databases and roles of the test go with it."""
    yield _roles_server
    drop_everything(_roles_server)


@pytest.fixture
def make_login(roles: embedded.Server) -> Callable[[str, str], None]:
    """A new login with these attributes."""

    def make(login: str, attributes: str) -> None:
        run_sql(roles.url, f"CREATE ROLE {login} LOGIN PASSWORD '{PASSWORD}' {attributes}")

    return make


@pytest.fixture
def make_owned(roles: embedded.Server) -> Callable[[str], str]:
    """A new database that belongs to a login, by the URL of that login."""
    numbers = count()

    def make(login: str) -> str:
        name = f"owned_{next(numbers)}"
        run_sql(roles.url, f"CREATE DATABASE {name} OWNER {login}")
        return as_login(roles.url_for(name), login)

    return make


# --- a cluster of nodes, as far as a stand-in for Citus's calls goes ------------------------------


# Each statement on a task with one of these titles fails with it.
FAIL = """
CREATE FUNCTION public.fail() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.title ~ '^[0-9A-Z]{5}$' THEN
        RAISE EXCEPTION USING ERRCODE = NEW.title, MESSAGE = 'as the test wants';
    END IF;
    RETURN NEW;
END $$
"""


@pytest.fixture
def block_url(distributed_url: str) -> str:
    """A distributed database with the user alice, where a title can be an error."""
    run_sql(
        distributed_url,
        "INSERT INTO users (id) VALUES ('alice')",
        FAIL,
        "CREATE TRIGGER fail BEFORE INSERT OR UPDATE ON tasks FOR EACH ROW EXECUTE FUNCTION fail()",
    )
    return distributed_url


# --- the first lock -------------------------------------------------------------------------------


@pytest.fixture
def predicate_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first lock is off: no statement asks for its owner's rows only."""
    assert len(FILTERED) >= 6
    for name in FILTERED:
        before, after = STATEMENTS[name], unfiltered(STATEMENTS[name])
        assert b"tasks.user_id = $" in before.sql
        assert b"tasks.user_id =" not in after.sql
        assert before.parameters == after.parameters
        monkeypatch.setattr(operations, name, after)


# --- the third check ------------------------------------------------------------------------------


@pytest.fixture
def owner_check_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers are returned whatever owner they are for."""
    for module in (wire, sessions):
        monkeypatch.setattr(module, "rows_are_owners", lambda *_: True)
    monkeypatch.setattr(wire, "_repeats_owner", lambda *_: True)


# --- the awaiting driver, behind a proxy ----------------------------------------------------------


@pytest.fixture
def injected(url: str) -> Iterator[tuple[InjectingProxy, str]]:
    """A proxy that can send messages of its own, and the shared database through it."""
    with injecting(url) as found:
        yield found


@pytest.fixture
def proxy(injected: tuple[InjectingProxy, str]) -> InjectingProxy:
    return injected[0]


@pytest.fixture
async def one(injected: tuple[InjectingProxy, str]) -> AsyncIterator[AsyncDatabase]:
    """A database of one connection, through the proxy."""
    async with AsyncDatabase(injected[1], max_size=1, timeout=20) as database:
        yield database
