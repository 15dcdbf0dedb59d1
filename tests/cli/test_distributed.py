"""The verbs on a database that counts as distributed, with the stand-in for Citus's calls."""

from __future__ import annotations

from cli.doctor_findings import run_doctor
from support.command import Cli
from support.sql import run_sql


def test_migrate_distributes_and_says_so_once(cli: Cli, citus_url: str) -> None:
    older = cli("migrate", "--to", "0003", DATABASE_URL=citus_url)
    assert (older.code, "node" in older.err) == (0, False)
    before = cli("status", DATABASE_URL=citus_url)
    assert "not spread over the nodes of citus: run `taskcli migrate`" in before.err
    done = cli("migrate", DATABASE_URL=citus_url)
    assert done.code == 0
    assert "the table public.tasks: spread by user_id" in done.err
    again = cli("migrate", DATABASE_URL=citus_url)
    assert (again.code, "spread" in again.err) == (0, False)
    assert cli("status", "--json", DATABASE_URL=citus_url).json["distributed"] is True
    assert cli("migrate", "--check", DATABASE_URL=citus_url).out == "OK\n"


def test_users_and_tasks_of_a_distributed_database(cli: Cli, distributed_url: str) -> None:
    for user in ("ada", "bob"):
        assert cli("users", "add", user, DATABASE_URL=distributed_url).code == 0
    assert (
        cli("seed", "--users", "2", "--tasks", "4", "--yes", DATABASE_URL=distributed_url).code == 0
    )
    listed = cli("users", "list", "--json", DATABASE_URL=distributed_url).json
    assert {user["id"]: user["tasks"] for user in listed}["ada"] == 0
    exported = cli("tasks", "export", DATABASE_URL=distributed_url)
    again = cli("tasks", "import", "--json", DATABASE_URL=distributed_url, stdin=exported.out)
    assert again.json == {"tasks": 0, "users": 0}
    found = cli("stats", "--json", DATABASE_URL=distributed_url).json
    assert found["table_bytes"] > 10_000_000_000
    assert set(found["index_bytes"]) == {"all indexes"}
    assert found["total_bytes"] == found["table_bytes"] + found["index_bytes"]["all indexes"]
    assert cli("users", "delete", "bob", "--yes", DATABASE_URL=distributed_url).code == 0
    assert cli("users", "show", "bob", DATABASE_URL=distributed_url).code == 1


def test_doctor_asks_for_the_nodes(cli: Cli, distributed_url: str) -> None:
    assert "not tried" in run_doctor(cli, distributed_url)["second lock"]["message"]
    run_sql(distributed_url, "INSERT INTO users (id) VALUES ('ada')")
    found = run_doctor(cli, distributed_url)
    assert found.failed == set()
    assert found["nodes"]["message"] == "all 2 let taskcore_tenant in"
    run_sql(distributed_url, "UPDATE pg_dist_node SET nodename = 'away' WHERE nodename = 'two'")
    found = run_doctor(cli, distributed_url)
    assert found.failed == {"nodes"}
    assert (
        "1 of 2 nodes cannot be reached as taskcore_tenant: away:5432"
        in (found["nodes"]["message"])
    )


def test_a_failed_report_adds_no_user(cli: Cli, distributed_url: str) -> None:
    run_sql(distributed_url, "ALTER TABLE tasks RENAME completed TO done")
    assert cli("users", "add", "ada", DATABASE_URL=distributed_url).code == 1
    run_sql(distributed_url, "ALTER TABLE tasks RENAME done TO completed")
    assert cli("users", "show", "ada", DATABASE_URL=distributed_url).code == 1
    assert cli("users", "add", "ada", DATABASE_URL=distributed_url).code == 0
