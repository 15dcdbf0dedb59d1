"""`stats` and `openapi`."""

from __future__ import annotations

from support.api_server import Api
from support.command import Cli
from taskcore import Database, TaskCreate, create_task
from taskcore.admin import add_user, connected


def test_stats_count_users_tasks_and_bytes(cli: Cli, own_url: str) -> None:
    with connected(own_url) as session, Database(own_url) as database:
        for number in range(5):
            add_user(session, f"u{number}")
            for _ in range(number):
                task = TaskCreate(title="one", completed=number == 4)
                database.run(create_task(f"u{number}", task))
    found = cli("stats", "--json", DATABASE_URL=own_url).json
    assert set(found) == {
        *("users", "tasks", "completed", "tasks_per_user", "table_bytes", "index_bytes"),
        "total_bytes",
    }
    assert (found["users"], found["tasks"], found["completed"]) == (5, 10, 4)
    assert found["tasks_per_user"] == {"p50": 2, "p90": 4, "p99": 4, "max": 4}
    assert set(found["index_bytes"]) == {"ix_tasks_id_user_id", "pk_tasks"}
    assert found["total_bytes"] == found["table_bytes"] + sum(found["index_bytes"].values())
    plain = dict(line.split("\t") for line in cli("stats", DATABASE_URL=own_url).out.splitlines())
    assert (plain["tasks"], set(plain)) == ("10", set(found))


def test_openapi_prints_the_servers_document_without_settings(cli: Cli, api: Api) -> None:
    done = cli("openapi")
    assert (done.code, done.err) == (0, "")
    with api.client() as client:
        assert done.json == client.get("/openapi.json").json()
