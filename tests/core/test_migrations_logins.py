"""Each kind of login that may own a database can migrate it, or gets the SQL for a DBA."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from support.sql import fetch_column, operations_work, run_sql
from taskcore import (
    Database,
    NotTaskOwner,
    TaskCreate,
    create_task,
    get_task,
    list_tasks,
    migrations,
)
from taskcore.embedded import Server
from taskcore.errors import MigrationFailed, TenantRoleNotCreated, TenantRoleRefused

MakeLogin = Callable[[str, str], None]
MakeOwned = Callable[[str], str]

MADE = (
    "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' "
    "UNION ALL SELECT rolname FROM pg_roles WHERE rolname = 'taskcore_tenant' AND NOT {known}"
)


def made_by_taskcore(url: str, *, role_known: bool = False) -> list[str]:
    return [str(name) for name in fetch_column(url, MADE.format(known=role_known))]


@pytest.mark.parametrize("attributes", ["SUPERUSER", "CREATEROLE", "CREATEROLE BYPASSRLS"])
def test_a_login_that_may_create_roles_migrates_and_works(
    make_login: MakeLogin, make_owned: MakeOwned, attributes: str
) -> None:
    make_login("owner", attributes)
    url = make_owned("owner")
    assert made_by_taskcore(url) == []
    for _ in range(2):
        migrations.upgrade(url)
        migrations.upgrade(url)
        assert migrations.check(url) == []
        run_sql(url, "INSERT INTO users (id) VALUES ('alice'), ('bob')")
        assert operations_work(url, "alice")
        with Database(url) as database:
            task = database.run(create_task("alice", TaskCreate(title="hers")))
            with pytest.raises(NotTaskOwner):
                database.run(get_task("bob", task.id))
        migrations.downgrade(url, "base")
        assert made_by_taskcore(url) == ["taskcore_version"]


def test_a_login_that_may_not_create_roles_gets_the_sql_for_the_dba(
    roles: Server, make_login: MakeLogin, make_owned: MakeOwned
) -> None:
    make_login('"odd Owner"', "")
    url = make_owned('"odd Owner"').replace('"odd Owner"', "odd%20Owner")
    with pytest.raises(TenantRoleNotCreated, match="a DBA has to run: ") as refused:
        migrations.upgrade(url)
    assert made_by_taskcore(url) == []

    script = str(refused.value).partition("has to run: ")[2]
    run_sql(roles.url, *script.split("; "))
    migrations.upgrade(url)
    assert migrations.check(url) == []
    run_sql(url, "INSERT INTO users (id) VALUES ('alice')")
    assert operations_work(url, "alice")


def test_an_upgrade_reports_that_the_login_may_not_take_the_role(
    roles: Server, make_login: MakeLogin, make_owned: MakeOwned
) -> None:
    make_login("first", "CREATEROLE")
    make_login("second", "")
    migrations.upgrade(make_owned("first"))
    url, lines = make_owned("second"), list[str]()
    migrations.upgrade(url, report=lines.append)
    assert any("second may not take the role taskcore_tenant" in line for line in lines)
    run_sql(url, "INSERT INTO users (id) VALUES ('alice')")
    with Database(url) as database, pytest.raises(TenantRoleRefused):
        database.run(list_tasks("alice"))

    run_sql(roles.url, "GRANT taskcore_tenant TO second")
    assert operations_work(url, "alice")


@pytest.mark.parametrize(
    ("change", "repair"),
    [
        ("ALTER ROLE {} SUPERUSER", "ALTER ROLE {} NOSUPERUSER"),
        ("ALTER ROLE {} BYPASSRLS", "ALTER ROLE {} NOBYPASSRLS"),
        ("ALTER ROLE {} LOGIN", "ALTER ROLE {} NOLOGIN"),
        ("GRANT pg_read_all_data TO {}", "REVOKE pg_read_all_data FROM {}"),
    ],
    ids=["superuser", "bypasses", "logs in", "is a member"],
)
def test_a_tenant_role_with_too_many_rights_is_refused(
    roles: Server, make_login: MakeLogin, make_owned: MakeOwned, change: str, repair: str
) -> None:
    make_login("owner", "SUPERUSER")
    url = make_owned("owner")
    run_sql(roles.url, "CREATE ROLE taskcore_tenant", change.format("taskcore_tenant"))
    with pytest.raises(TenantRoleNotCreated, match="rights that would open the lock"):
        migrations.upgrade(url)
    assert made_by_taskcore(url, role_known=True) == []

    run_sql(roles.url, repair.format("taskcore_tenant"))
    migrations.upgrade(url)
    assert migrations.check(url) == []


def test_a_login_without_rights_can_neither_migrate_nor_check(
    roles: Server, make_login: MakeLogin, make_owned: MakeOwned
) -> None:
    make_login("owner", "CREATEROLE")
    make_login("unprivileged", "")
    url = make_owned("owner")
    migrations.upgrade(url)
    other = url.replace("//owner:", "//unprivileged:")
    for action in (migrations.current, migrations.check, migrations.upgrade, migrations.downgrade):
        with pytest.raises(MigrationFailed, match="use the owner of the schema"):
            action(other)
    assert migrations.check(url) == []
    run_sql(roles.url, "GRANT owner TO unprivileged", "ALTER ROLE unprivileged SET role = owner")
    assert migrations.check(other) == []
