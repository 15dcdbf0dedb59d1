"""Distribution over the nodes of a cluster, with a stand-in for the calls to Citus."""

from __future__ import annotations

import psycopg
import pytest

from support.schema_dump import Dump, Psql
from support.sql import as_login, fetch_column, operations_work, run_sql
from taskcore import migrations
from taskcore.errors import MigrationFailed, SchemaError

CALLS = "SELECT call FROM stand_in.calls ORDER BY number"
MAY_LOG_IN = "SELECT rolcanlogin FROM pg_roles WHERE rolname = 'taskcore_tenant'"
DISTRIBUTED = [
    "reference public.users",
    "reference public.taskcore_version",
    "distribute public.tasks by user_id",
    "truncate public.tasks",
    "truncate public.taskcore_version",
    "truncate public.users",
]


def unqualified(calls: list[str]) -> list[str]:
    return [call.replace("public.", "") for call in calls]


def test_the_tables_are_distributed_in_an_order_that_citus_takes_and_once(citus_url: str) -> None:
    lines: list[str] = []
    migrations.upgrade(citus_url)
    assert migrations.is_distributed(citus_url) is False
    assert fetch_column(citus_url, CALLS) == []
    assert migrations.distribute(citus_url, report=lines.append)
    assert unqualified(fetch_column(citus_url, CALLS)) == unqualified(DISTRIBUTED)
    assert lines == [
        "the role taskcore_tenant may log in, without a password",
        "the table public.users: a copy on every node",
        "the table public.taskcore_version: a copy on every node",
        "the table public.tasks: spread by user_id",
    ]
    assert migrations.is_distributed(citus_url) is True
    assert migrations.check(citus_url) == []

    assert migrations.distribute(citus_url, report=lines.append)
    assert len(lines) == 4
    assert len(fetch_column(citus_url, CALLS)) == len(DISTRIBUTED)
    run_sql(citus_url, "INSERT INTO users (id) VALUES ('alice')")
    assert operations_work(citus_url, "alice")


def test_the_role_may_log_in_without_a_password(distributed_url: str) -> None:
    assert fetch_column(distributed_url, MAY_LOG_IN) == [True]
    query = "SELECT rolpassword FROM pg_authid WHERE rolname = 'taskcore_tenant'"
    assert fetch_column(distributed_url, query) == [None]


def test_without_the_extension_nothing_is_distributed(sibling_url: str, dump: Dump) -> None:
    migrations.upgrade(sibling_url)
    before = dump(sibling_url)
    assert migrations.distribute(sibling_url) is False
    assert migrations.is_distributed(sibling_url) is None
    assert dump(sibling_url) == before
    assert fetch_column(sibling_url, MAY_LOG_IN) == [False]


def test_users_in_another_database_leave_no_reference_table(citus_url: str) -> None:
    migrations.upgrade(citus_url, users_table="none")
    migrations.distribute(citus_url)
    assert "users" not in " ".join(fetch_column(citus_url, CALLS))
    assert migrations.check(citus_url) == []


@pytest.mark.parametrize(
    ("otherwise", "sentence"),
    [
        (
            "create_distributed_table('tasks', 'id')",
            "the table public.tasks is distributed, but not as it has to be "
            "(spread by id instead of spread by user_id)",
        ),
        (
            "create_reference_table('tasks')",
            "the table public.tasks is distributed, but not as it has to be "
            "(a copy on every node instead of spread by user_id)",
        ),
        (
            "create_distributed_table('users', 'id')",
            "the table public.users is distributed, but not as it has to be "
            "(spread by id instead of a copy on every node)",
        ),
    ],
)
def test_a_table_that_is_distributed_otherwise_is_refused_by_name(
    citus_url: str, otherwise: str, sentence: str
) -> None:
    migrations.upgrade(citus_url)
    if "'tasks'" in otherwise:
        run_sql(citus_url, "SELECT create_reference_table('users')")
    run_sql(citus_url, f"SELECT {otherwise}")
    calls = fetch_column(citus_url, CALLS)
    with pytest.raises(MigrationFailed) as refused:
        migrations.distribute(citus_url)
    assert sentence in str(refused.value)
    assert fetch_column(citus_url, CALLS) == calls
    assert migrations.is_distributed(citus_url) is False

    run_sql(citus_url, "TRUNCATE pg_dist_partition")
    assert migrations.distribute(citus_url)


def test_a_table_that_is_known_to_citus_and_lies_on_one_node_is_distributed(citus_url: str) -> None:
    """Citus notes a local table that others refer to."""
    migrations.upgrade(citus_url)
    run_sql(
        citus_url,
        "INSERT INTO pg_dist_partition VALUES ('users', 'n', NULL, 0, 's')",
        "CREATE RULE replaced AS ON INSERT TO pg_dist_partition WHERE NEW.repmodel = 't' "
        "DO ALSO DELETE FROM pg_dist_partition WHERE logicalrelid = NEW.logicalrelid "
        "AND repmodel = 's'",
        "ALTER TABLE pg_dist_partition DROP CONSTRAINT pg_dist_partition_pkey",
    )
    assert migrations.distribute(citus_url)
    assert migrations.is_distributed(citus_url) is True


def test_an_older_schema_is_refused(citus_url: str) -> None:
    migrations.upgrade(citus_url, "0003")
    with pytest.raises(SchemaError, match="run the migrations first"):
        migrations.distribute(citus_url)


def test_a_view_named_like_one_of_citus_is_not_read(citus_url: str) -> None:
    run_sql(
        citus_url,
        "CREATE VIEW public.citus_tables AS SELECT NULL::regclass AS table_name, "
        "'distributed'::text AS citus_table_type",
        "CREATE TABLE public.pg_dist_partition (logicalrelid regclass)",
    )
    migrations.upgrade(citus_url)
    migrations.distribute(citus_url)
    assert len(fetch_column(citus_url, CALLS)) == len(DISTRIBUTED)


def test_the_script_distributes_too(citus_url: str, psql: Psql) -> None:
    done = psql(citus_url, migrations.sql())
    assert done.returncode == 0, done.stderr
    assert unqualified(fetch_column(citus_url, CALLS)) == unqualified(DISTRIBUTED)
    assert migrations.check(citus_url) == []


def test_a_script_to_an_older_revision_distributes_nothing(citus_url: str, psql: Psql) -> None:
    assert psql(citus_url, migrations.sql("0003")).returncode == 0
    assert fetch_column(citus_url, CALLS) == []


def test_up_down_and_up_again(distributed_url: str) -> None:
    migrations.downgrade(distributed_url)
    query = "SELECT to_regprocedure('public.taskcore_set_owner(text)')"
    assert fetch_column(distributed_url, query) == [None]
    migrations.upgrade(distributed_url)
    assert "function taskcore_set_owner(owner text) is missing" in migrations.check(distributed_url)
    migrations.distribute(distributed_url)
    assert migrations.check(distributed_url) == []


def test_another_users_table_is_copied_to_every_node_before_it_is_adopted(
    distributed_url: str,
) -> None:
    run_sql(distributed_url, "CREATE TABLE people (id text PRIMARY KEY)")
    migrations.adopt_users(distributed_url, "people")
    assert fetch_column(distributed_url, CALLS)[-1] in (
        "reference people",
        "reference public.people",
    )
    assert migrations.check(distributed_url) == []


@pytest.mark.parametrize(
    "change",
    [
        "DROP FUNCTION taskcore_set_owner(text)",
        "REVOKE EXECUTE ON FUNCTION taskcore_set_owner(text) FROM PUBLIC",
        "ALTER FUNCTION taskcore_set_owner(text) RESET ALL",
    ],
)
def test_a_repair_puts_the_function_back_that_binds_the_owner(
    distributed_url: str, change: str
) -> None:
    assert migrations.check(distributed_url) == []
    run_sql(distributed_url, change)
    assert migrations.check(distributed_url) != []
    repair = migrations.repair(distributed_url)
    assert repair.left == []
    assert repair.repaired
    assert migrations.check(distributed_url) == []


def test_before_the_tasks_are_spread_an_adoption_copies_nothing(citus_url: str) -> None:
    migrations.upgrade(citus_url)
    run_sql(
        citus_url,
        "CREATE TABLE people (id text PRIMARY KEY)",
        "CREATE TABLE of_another_program (id text)",
        "SELECT create_reference_table('of_another_program')",
    )
    calls = fetch_column(citus_url, CALLS)
    migrations.adopt_users(citus_url, "people")
    assert fetch_column(citus_url, CALLS) == calls


def test_a_table_that_is_on_every_node_is_adopted_as_it_is(distributed_url: str) -> None:
    calls = fetch_column(distributed_url, CALLS)
    migrations.adopt_users(distributed_url, "users")
    assert fetch_column(distributed_url, CALLS) == calls
    assert migrations.check(distributed_url) == []


# --- the role, in every database of the cluster ---------------------------------------------------


def test_a_sibling_database_expects_a_role_that_may_log_in(
    distributed_url: str, sibling_url: str
) -> None:
    migrations.upgrade(sibling_url)
    assert migrations.check(sibling_url) == []


def test_a_role_that_may_log_in_for_no_reason_is_refused(sibling_url: str) -> None:
    run_sql(sibling_url, "CREATE ROLE taskcore_tenant LOGIN")
    with pytest.raises(SchemaError, match="rights that would open the lock"):
        migrations.upgrade(sibling_url)
    run_sql(sibling_url, "ALTER ROLE taskcore_tenant NOLOGIN")
    migrations.upgrade(sibling_url)
    run_sql(sibling_url, "ALTER ROLE taskcore_tenant LOGIN")
    assert migrations.check(sibling_url) == [
        "role taskcore_tenant: should have no such right: LOGIN"
    ]


def test_check_names_what_is_left_to_distribute(citus_url: str) -> None:
    migrations.upgrade(citus_url)
    assert migrations.check(citus_url) == [
        "function taskcore_set_owner(owner text) is missing",
        "grants on function taskcore_set_owner(owner text) to PUBLIC is missing",
        "owner of function taskcore_set_owner(owner text) is missing",
        "table users is on one node, not a copy on every node",
        "table taskcore_version is on one node, not a copy on every node",
        "table tasks is on one node, not spread by user_id",
        "role taskcore_tenant may not log in: the nodes connect as it",
    ]
    migrations.distribute(citus_url)
    run_sql(citus_url, "ALTER ROLE taskcore_tenant NOLOGIN")
    assert migrations.check(citus_url) == [
        "role taskcore_tenant may not log in: the nodes connect as it"
    ]


def test_a_login_that_may_not_change_the_role_is_told_what_to_run(citus_url: str) -> None:
    run_sql(
        citus_url,
        "CREATE ROLE migrator LOGIN PASSWORD 'of-a-test' CREATEROLE",
        "GRANT CREATE, USAGE ON SCHEMA public TO migrator",
        "CREATE ROLE taskcore_tenant NOLOGIN NOINHERIT",
        "GRANT taskcore_tenant TO migrator",
    )
    try:
        run_sql(
            citus_url, "ALTER ROLE migrator NOCREATEROLE", "ALTER SCHEMA public OWNER TO migrator"
        )
        login = as_login(citus_url, "migrator")
        migrations.upgrade(login)
        with pytest.raises(MigrationFailed, match="a DBA has to run: ALTER ROLE taskcore_tenant"):
            migrations.distribute(login)
    finally:
        run_sql(citus_url, "DROP OWNED BY taskcore_tenant", "DROP OWNED BY migrator CASCADE")
        run_sql(citus_url, "DROP ROLE taskcore_tenant", "DROP ROLE migrator")


# --- the function that binds the owner ------------------------------------------------------------


@pytest.mark.parametrize(
    "owner",
    [
        "it's",
        'double "quotes"',
        "back\\slash",
        "E'\\n'",
        "$$dollars$1$$",
        "x" * 255,
        "é Ж 日本 😀",
        "%L",
    ],
)
@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_every_owner_survives_the_function_and_is_gone_after_the_transaction(
    distributed_url: str, owner: str, end: str
) -> None:
    setting = "SELECT current_setting('taskcore.user_id', true)"
    with psycopg.connect(distributed_url, autocommit=True) as connection:
        connection.execute("BEGIN")
        bound = connection.execute("SELECT public.taskcore_set_owner(%s)", [owner]).fetchone()
        # In a statement of its own: the setting outlives the function.
        assert [bound, connection.execute(setting).fetchone()] == [(owner,), (owner,)]
        connection.execute(end.encode())
        assert connection.execute(setting).fetchone() == ("",)
