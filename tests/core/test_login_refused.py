"""A login that the server does not let in is named at once, and tried anew by each operation."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest

from support.polling import wait_until
from support.ports import closed_port
from support.sql import as_login, run_sql
from taskcore import AsyncDatabase, Database, LoginRefused, NoConnection, Op, list_tasks, migrations
from taskcore.embedded import Server
from taskcore.execution.op import Row, Steps, rows
from taskcore.tasks import operations

# Far more than the test takes: an operation that waited for its deadline would fail the run.
PATIENT = 300.0


@pytest.fixture
def app_url(roles: Server, make_login: Callable[[str, str], None]) -> str:
    """The URL of a server's login with the right password."""
    migrations.upgrade(roles.url)
    make_login("app", "")
    run_sql(roles.url, "GRANT taskcore_tenant TO app", "INSERT INTO users (id) VALUES ('alice')")
    return as_login(roles.url, "app")


@pytest.fixture(autouse=True)
def _schema_goes(roles: Server) -> Iterator[None]:
    yield
    migrations.downgrade(roles.url, "base")


def test_a_wrong_password_is_named_and_is_in_no_message(app_url: str) -> None:
    wrong = as_login(app_url, "app", "not-the-password")
    with Database(wrong, timeout=PATIENT) as database:
        for _ in range(2):
            with pytest.raises(LoginRefused, match="does not accept the password") as raised:
                database.run(list_tasks("alice"))
            assert "not-the-password" not in str(raised.value)
            assert not raised.value.outcome_unknown
        assert database.stats()["pool_available"] == 0
    with Database(app_url, timeout=PATIENT) as database:
        assert database.run(list_tasks("alice")) == []


@pytest.mark.parametrize(
    ("login", "database_name", "sentence"),
    [
        ("nobody", "postgres", "does not accept the password"),  # as for a wrong password
        ("locked", "postgres", "does not let this login in"),
        ("app", "missing", "has no such database"),
    ],
)
def test_a_login_or_database_that_is_not_there_is_named(
    roles: Server,
    app_url: str,
    make_login: Callable[[str, str], None],
    login: str,
    database_name: str,
    sentence: str,
) -> None:
    make_login("locked", "")
    run_sql(roles.url, "ALTER ROLE locked NOLOGIN")
    url = urlsplit(as_login(app_url, login))._replace(path=f"/{database_name}").geturl()
    with (
        Database(url, timeout=PATIENT) as database,
        pytest.raises(LoginRefused, match=sentence),
    ):
        database.run(list_tasks("alice"))


def test_every_operation_that_waits_is_told(app_url: str) -> None:
    wrong = as_login(app_url, "app", "wrong")
    with Database(wrong, max_size=2, timeout=PATIENT) as database, ThreadPoolExecutor(8) as threads:
        for running in [threads.submit(database.run, list_tasks("alice")) for _ in range(8)]:
            with pytest.raises(LoginRefused):
                running.result(PATIENT)


def test_a_login_that_is_let_in_later_works_without_a_new_database(
    roles: Server, app_url: str
) -> None:
    with Database(as_login(app_url, "app", "new"), max_size=2, timeout=PATIENT) as database:
        with ThreadPoolExecutor(4) as threads:
            for running in [threads.submit(database.run, list_tasks("alice")) for _ in range(4)]:
                with pytest.raises(LoginRefused):
                    running.result(PATIENT)
        run_sql(roles.url, "ALTER ROLE app PASSWORD 'new'")
        for _ in range(3):
            assert database.run(list_tasks("alice")) == []


def test_a_connection_that_is_in_use_is_waited_for(roles: Server, app_url: str) -> None:
    """The password was changed: what is connected goes on, and serves the operations that wait."""

    def second_starts() -> None:
        run_sql(roles.url, "ALTER ROLE app PASSWORD 'new'")
        waiting.append(threads.submit(database.run, list_tasks("alice")))
        wait_until(lambda: database._open_pool()._failure is not None, "a refused attempt")

    def steps(owner: str) -> Steps[list[Row]]:
        found = yield from rows(operations._LIST, owner=owner)
        second_starts()
        return found

    waiting = []  # type: ignore[var-annotated]
    with (
        ThreadPoolExecutor(1) as threads,
        Database(app_url, min_size=0, max_size=2, timeout=PATIENT) as database,
    ):
        op: Op[list[Row]] = Op("alice", steps, (), list)
        assert database.run(op) == []
        assert waiting[0].result(PATIENT) == []


async def test_awaiting_operations_are_told_too_and_a_later_one_tries_again(
    roles: Server, app_url: str
) -> None:
    wrong = as_login(app_url, "app", "new")
    async with AsyncDatabase(wrong, max_size=2, timeout=PATIENT) as database:
        waiting = [database.run(list_tasks("alice")) for _ in range(8)]
        for error in await asyncio.gather(*waiting, return_exceptions=True):
            assert isinstance(error, LoginRefused)
            assert "does not accept the password" in str(error)
        run_sql(roles.url, "ALTER ROLE app PASSWORD 'new'")
        assert await database.run(list_tasks("alice")) == []


async def test_an_awaiting_operation_waits_for_a_connection_that_is_in_use(
    roles: Server, app_url: str
) -> None:
    async with AsyncDatabase(app_url, max_size=2, timeout=PATIENT) as database:
        await database.run(list_tasks("alice"))
        run_sql(roles.url, "ALTER ROLE app PASSWORD 'new'")
        # The second has no connection yet, and none can be made.
        both = [database.run(list_tasks("alice")) for _ in range(2)]
        assert await asyncio.gather(*both) == [[], []]
        assert database.stats()["pool_size"] == 1


def test_a_server_that_is_away_is_no_refusal() -> None:
    """Control: this may pass by itself, so the operation waits as long as it may."""
    with closed_port() as port:
        url = f"postgresql://app:x@127.0.0.1:{port}/x"
        with (
            Database(url, timeout=0.3) as database,
            pytest.raises(NoConnection) as raised,
        ):
            database.run(list_tasks("alice"))
    assert not isinstance(raised.value, LoginRefused)
