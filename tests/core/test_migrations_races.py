"""Concurrent migrations: of one database, and of several in a cluster without the tenant role."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor, wait
from functools import partial
from threading import Barrier

import psycopg
import pytest

from support.sql import fetch_column, operations_work, run_sql, wait_for_lock_waiters
from taskcore import migrations
from taskcore.embedded import Server
from taskcore.migrations import lock

pytestmark = pytest.mark.long

PROCESSES = 20
DATABASES = 12


@pytest.fixture
def processes() -> Iterator[Executor]:
    """Processes that are forked from a server process with the imports done."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["taskcore.migrations"])
    with ProcessPoolExecutor(PROCESSES, mp_context=context) as executor:
        yield executor


def test_processes_that_upgrade_one_fresh_database_all_succeed(
    empty_url: str, processes: Executor
) -> None:
    with psycopg.connect(empty_url, autocommit=True) as blocker:
        blocker.execute("SELECT pg_advisory_lock(%s)", [lock._NUMBER])
        racing = [processes.submit(migrations.upgrade, empty_url) for _ in range(PROCESSES)]
        wait_for_lock_waiters(empty_url, PROCESSES, "advisory")
        assert fetch_column(empty_url, "SELECT to_regclass('public.tasks')") == [None]
    wait(racing, 60)
    assert [future.result(0) for future in racing] == [None] * PROCESSES
    assert migrations.current(empty_url) == migrations.head()
    assert migrations.check(empty_url) == []


@pytest.mark.parametrize("attributes", ["SUPERUSER", "CREATEROLE BYPASSRLS"])
def test_concurrent_upgrades_of_several_databases_all_get_the_role(
    roles: Server,
    make_login: Callable[[str, str], None],
    make_owned: Callable[[str], str],
    processes: Executor,
    attributes: str,
) -> None:
    make_login("owner", attributes)
    urls = [make_owned("owner") for _ in range(DATABASES)]
    for _ in range(2):
        _upgrade_after_a_rolled_back_role(roles, urls, processes)
        assert operations_work_for_a_new_user(urls)
        # Now all of them try to drop the role.
        assert list(processes.map(migrations.downgrade, urls, ["base"] * DATABASES)) == [None] * 12
        run_sql(roles.url, "DROP ROLE IF EXISTS taskcore_tenant")


def operations_work_for_a_new_user(urls: list[str]) -> bool:
    for url in urls:
        run_sql(url, "INSERT INTO users (id) VALUES ('alice')")
    return all(operations_work(url, "alice") for url in urls)


def _upgrade_after_a_rolled_back_role(roles: Server, urls: list[str], processes: Executor) -> None:
    """All upgrades wait for another session that creates the role and then rolls back."""
    upgrade = partial(migrations.upgrade, lock_timeout=60)
    with psycopg.connect(roles.url) as blocker:
        blocker.execute("CREATE ROLE taskcore_tenant")
        racing = [processes.submit(upgrade, url) for url in urls]
        wait_for_lock_waiters(roles.url, DATABASES)
        blocker.rollback()
    wait(racing, 60)
    assert [future.result(0) for future in racing] == [None] * DATABASES


def test_threads_of_one_process_may_migrate_several_databases(
    make_database: Callable[[], str],
) -> None:
    urls = [make_database() for _ in range(4)]
    barrier = Barrier(len(urls))

    def migrate(url: str) -> list[str]:
        barrier.wait(60)
        migrations.upgrade(url)
        return migrations.check(url)

    with ThreadPoolExecutor(len(urls)) as threads:
        assert list(threads.map(migrate, urls, timeout=60)) == [[]] * len(urls)


def test_the_role_stays_while_another_database_uses_it(
    roles: Server, make_login: Callable[[str, str], None], make_owned: Callable[[str], str]
) -> None:
    make_login("owner", "CREATEROLE")
    first, second = make_owned("owner"), make_owned("owner")
    for url in (first, second):
        migrations.upgrade(url)
    lines: list[str] = []
    migrations.downgrade(first, "base", report=lines.append)
    assert any("stays: another database uses it" in line for line in lines)
    assert operations_work_for_a_new_user([second])

    lines.clear()
    migrations.downgrade(second, "base", report=lines.append)
    assert not any("stays" in line for line in lines)
    assert (
        fetch_column(roles.url, "SELECT rolname FROM pg_roles WHERE rolname = 'taskcore_tenant'")
        == []
    )


def test_a_role_that_is_dropped_before_its_first_use_is_created_again(
    roles: Server, make_login: Callable[[str, str], None], make_owned: Callable[[str], str]
) -> None:
    make_login("owner", "CREATEROLE")
    url = make_owned("owner")
    run_sql(url, "CREATE TABLE users (id text PRIMARY KEY)")
    with ThreadPoolExecutor(1) as thread, psycopg.connect(url) as writer:
        writer.execute("INSERT INTO users (id) VALUES ('alice')")
        upgrading = thread.submit(migrations.upgrade, url, lock_timeout=60)
        wait_for_lock_waiters(roles.url, 1, "relation")
        run_sql(roles.url, "DROP ROLE taskcore_tenant")
        writer.commit()
        upgrading.result(60)
    assert migrations.check(url) == []
    assert operations_work(url, "alice")
