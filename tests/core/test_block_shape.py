"""The second shape of a request: a transaction block in one flush, as on a cluster of nodes."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest

from support.counting_proxy import CountingProxy, proxy_for, through
from support.drivers import Driver
from support.polling import wait_until
from support.sql import fetch_column, run_sql
from taskcore import (
    ConnectionLost,
    DatabaseFault,
    TaskcoreError,
    TaskCreate,
    TaskNotFound,
    TaskUpdate,
    UnknownUser,
    UntrustedObject,
    create_task,
    delete_task,
    get_task,
    list_tasks,
    toggle_task,
    update_task,
)

BACKENDS = (
    "SELECT pid || ' ' || state FROM pg_stat_activity "
    "WHERE backend_type = 'client backend' AND datname = current_database() "
    "AND pid <> pg_backend_pid() AND application_name = 'block'"
)
# What a statement may fail with, from every class that the errors are told apart by; and a code
# that psycopg has no class for.
SQLSTATES = [
    *("22001", "23503", "23514", "42501", "42P01", "42883", "57014", "55P03", "40001", "40P01"),
    *("XX000", "P0001", "0A000", "53100", "58030", "08006", "25001", "25P03", "25P02", "ZZ999"),
]


def named(url: str) -> str:
    return f"{url}?application_name=block"


@pytest.fixture(params=[True, False], ids=["prepared", "unprepared"])
def prepare(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def one_idle_backend(url: str) -> str:
    """The process behind the only connection, which is in no transaction."""
    (found,) = fetch_column(url, BACKENDS)
    pid, state = found.split(" ", 1)
    assert state == "idle"
    return str(pid)


@pytest.mark.parametrize("sqlstate", SQLSTATES)
def test_after_any_failing_statement_the_connection_is_idle_and_works(
    block_url: str, driver: Driver, prepare: bool, sqlstate: str
) -> None:
    with driver(named(block_url), min_size=1, max_size=1, prepare=prepare) as run:
        task = run(create_task("alice", TaskCreate(title="one")))
        backend = one_idle_backend(block_url)
        for _ in range(2):
            with pytest.raises(TaskcoreError):
                run(update_task("alice", task.id, TaskUpdate(title=sqlstate)))
            assert one_idle_backend(block_url) == backend
            assert run(get_task("alice", task.id)).title == "one"
            assert one_idle_backend(block_url) == backend


def test_after_a_failing_binding_the_connection_is_idle_and_works(
    block_url: str, driver: Driver, prepare: bool
) -> None:
    with driver(named(block_url), min_size=1, max_size=1, prepare=prepare) as run:
        assert run(list_tasks("alice")) == []
        backend = one_idle_backend(block_url)
        for _ in range(2):
            run_sql(block_url, "ALTER FUNCTION taskcore_set_owner RENAME TO away")
            with pytest.raises(TaskcoreError):
                run(list_tasks("alice"))
            run_sql(block_url, "ALTER FUNCTION away RENAME TO taskcore_set_owner")
            assert one_idle_backend(block_url) == backend
            assert run(list_tasks("alice")) == []


def test_a_block_whose_first_statement_fails_leaves_its_commit_prepared(
    block_url: str, driver: Driver
) -> None:
    with driver(named(block_url), min_size=1, max_size=1, prepare=True) as run:
        assert run(list_tasks("alice")) == []  # a driver's first block asks about the objects
        run_sql(block_url, f"SELECT pg_terminate_backend({one_idle_backend(block_url)})")
        with pytest.raises(TaskcoreError):
            run(create_task("alice", TaskCreate(title="23514")))
        backend = one_idle_backend(block_url)
        # If it were prepared again, it would be refused, and the connection closed.
        assert run(list_tasks("alice")) == []
        assert one_idle_backend(block_url) == backend


def test_a_statement_that_is_not_supported_is_a_fault_and_costs_no_connection(
    block_url: str, driver: Driver
) -> None:
    with driver(named(block_url), min_size=1, max_size=1, prepare=True) as run:
        task = run(create_task("alice", TaskCreate(title="one")))
        assert run(get_task("alice", task.id)).title == "one"
        backend = one_idle_backend(block_url)
        with pytest.raises(DatabaseFault):
            run(update_task("alice", task.id, TaskUpdate(title="0A000")))
        assert one_idle_backend(block_url) == backend
        # The control: the same code for a statement that a migration made invalid.
        run_sql(block_url, "ALTER TABLE tasks ALTER title TYPE text")
        assert run(get_task("alice", task.id)).title == "one"
        assert one_idle_backend(block_url) != backend


def test_nothing_stays_bound(block_url: str, driver: Driver) -> None:
    """The block is PostgreSQL's: role and owner end with it, whether it commits or not."""
    with driver(named(block_url), min_size=1, max_size=1) as run:
        task = run(create_task("alice", TaskCreate(title="one")))
        with pytest.raises(UnknownUser):
            run(get_task("nobody", task.id))
        assert [found.id for found in run(list_tasks("alice"))] == [task.id]


# --- COMMIT ---------------------------------------------------------------------------------------


@pytest.fixture
def failing_commits(block_url: str) -> Callable[[int], None]:
    """Let so many COMMITs of a changed task fail, from now on."""
    run_sql(
        block_url,
        "CREATE SEQUENCE failures",
        """
        CREATE FUNCTION public.fail_commit() RETURNS trigger LANGUAGE plpgsql
        SECURITY DEFINER AS $$
        BEGIN
            IF nextval('public.failures') < 1000 THEN
                RAISE EXCEPTION USING ERRCODE = 'XX000', MESSAGE =
                    'could not commit transaction for shard 102008 on at least one active node';
            END IF;
            RETURN NULL;
        END $$
        """,
        "SELECT setval('failures', 1000)",
        "CREATE CONSTRAINT TRIGGER fail_commit AFTER INSERT OR UPDATE OR DELETE ON tasks "
        "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fail_commit()",
    )

    def fail(times: int) -> None:
        run_sql(block_url, f"SELECT setval('failures', {999 - times})")

    return fail


def test_a_write_whose_commit_fails_has_an_unknown_outcome(
    block_url: str, driver: Driver, failing_commits: Callable[[int], None], prepare: bool
) -> None:
    with driver(named(block_url), min_size=1, max_size=1, prepare=prepare) as run:
        task = run(create_task("alice", TaskCreate(title="one")))
        for op in (
            update_task("alice", task.id, TaskUpdate(title="two")),
            toggle_task("alice", task.id),
            delete_task("alice", task.id),
        ):
            failing_commits(1)
            with pytest.raises(ConnectionLost) as lost:
                run(op)
            assert lost.value.outcome_unknown
            found = run(get_task("alice", task.id))
            assert (found.title, found.completed) == ("one", False)
        # The control: with no failure left, each is done.
        assert run(update_task("alice", task.id, TaskUpdate(title="two"))).title == "two"


def test_a_create_whose_commit_fails_is_repeated_and_makes_one_task(
    block_url: str, driver: Driver, failing_commits: Callable[[int], None], prepare: bool
) -> None:
    with driver(named(block_url), min_size=1, max_size=1, prepare=prepare) as run:
        failing_commits(1)
        made = run(create_task("alice", TaskCreate(title="one")))
        assert [task.id for task in run(list_tasks("alice"))] == [made.id]
        failing_commits(2)
        with pytest.raises(ConnectionLost) as lost:
            run(create_task("alice", TaskCreate(title="two")))
        assert lost.value.outcome_unknown
        assert [task.id for task in run(list_tasks("alice"))] == [made.id]


# --- one flush, and where it is cut ---------------------------------------------------------------


class HoldingProxy(CountingProxy):
    """Passes no answer on while only the first of the two Syncs of a request has come."""

    def _down(self, server: socket.socket, client: socket.socket) -> None:
        while data := server.recv(65536):
            wait_until(lambda: self.messages["S"] % 2 == 0, "the second Sync")
            client.sendall(data)


def test_the_second_sync_does_not_wait_for_the_answer_to_the_first(
    block_url: str, driver: Driver, prepare: bool
) -> None:
    proxy = proxy_for(block_url, HoldingProxy)
    try:
        with driver(through(proxy, block_url), max_size=1, prepare=prepare) as run:
            task = run(create_task("alice", TaskCreate(title="one")))
            assert run(get_task("alice", task.id)).title == "one"
            # A miss is two requests.
            proxy.forget()
            with pytest.raises(TaskNotFound):
                run(get_task("alice", uuid4()))
            assert proxy.messages["S"] == 4
    finally:
        proxy.close()


@pytest.fixture
def cutting_proxy(block_url: str) -> Iterator[CountingProxy]:
    proxy = proxy_for(block_url, CountingProxy)
    yield proxy
    proxy.close()


@pytest.mark.parametrize("sync", [1, 2])
def test_a_cut_after_either_sync_loses_and_doubles_nothing(
    block_url: str, driver: Driver, cutting_proxy: CountingProxy, prepare: bool, sync: int
) -> None:
    """After the first, nothing is committed; after the second it is, and the answer is lost."""

    def cut() -> None:
        cutting_proxy.forget()
        cutting_proxy.cut_at_sync = sync

    with driver(through(cutting_proxy, block_url), max_size=1, prepare=prepare) as run:
        task = run(create_task("alice", TaskCreate(title="one")))
        cut()
        assert run(get_task("alice", task.id)).title == "one"
        cut()
        made = run(create_task("alice", TaskCreate(title="two")))
        assert {found.id for found in run(list_tasks("alice"))} == {task.id, made.id}
        cut()
        with pytest.raises(ConnectionLost) as lost:
            run(update_task("alice", task.id, TaskUpdate(title="three")))
        assert lost.value.outcome_unknown
        after = "one" if sync == 1 else "three"
        wait_until(lambda: run(get_task("alice", task.id)).title == after, f"the title {after}")
        assert len(run(list_tasks("alice"))) == 2


# --- the shape is the connection's ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "syncs"),
    [
        ("SELECT 1", 2),
        ("DROP FUNCTION taskcore_set_owner", 1),
        ("DROP EXTENSION citus", 1),
    ],
)
def test_a_block_needs_the_extension_and_the_function(
    distributed_url: str, driver: Driver, change: str, syncs: int
) -> None:
    run_sql(distributed_url, "INSERT INTO users (id) VALUES ('alice')", change)
    proxy = proxy_for(distributed_url, CountingProxy)
    try:
        with driver(through(proxy, distributed_url), max_size=1) as run:
            run(create_task("alice", TaskCreate(title="one")))
            proxy.forget()
            assert len(run(list_tasks("alice"))) == 1
            assert proxy.messages["S"] == syncs
    finally:
        proxy.close()


def test_a_function_of_another_login_is_not_called(distributed_url: str, driver: Driver) -> None:
    run_sql(
        distributed_url,
        "INSERT INTO users (id) VALUES ('alice')",
        "CREATE ROLE stranger",
        "ALTER FUNCTION taskcore_set_owner OWNER TO stranger",
    )
    try:
        with (
            driver(distributed_url, max_size=1) as run,
            pytest.raises(UntrustedObject, match="belongs to the login stranger"),
        ):
            run(list_tasks("alice"))
    finally:
        run_sql(distributed_url, "REASSIGN OWNED BY stranger TO postgres", "DROP ROLE stranger")
    with driver(distributed_url, max_size=1) as run:
        assert run(list_tasks("alice")) == []
