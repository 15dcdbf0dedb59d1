"""The check names each right that the tenant role has and should not have."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from support.sql import run_sql
from taskcore import migrations
from taskcore.embedded import Server

TENANT = "taskcore_tenant"
NO_SUCH_RIGHT = f"role {TENANT}: should have no such right: "
RIGHTS = ["SUPERUSER", "BYPASSRLS", "LOGIN", "CREATEROLE", "CREATEDB", "REPLICATION"]


@pytest.fixture
def owned(make_login: Callable[[str, str], None], make_owned: Callable[[str], str]) -> str:
    make_login("owner", "CREATEROLE")
    url = make_owned("owner")
    migrations.upgrade(url)
    return url


def test_each_right_is_named(roles: Server, owned: str) -> None:
    for right in RIGHTS:
        assert migrations.check(owned) == []
        run_sql(roles.url, f"ALTER ROLE {TENANT} {right}")
        assert migrations.check(owned) == [NO_SUCH_RIGHT + right]
        run_sql(roles.url, f"ALTER ROLE {TENANT} NO{right}")
    assert migrations.check(owned) == []


def test_a_membership_is_named(roles: Server, owned: str) -> None:
    run_sql(roles.url, f"GRANT pg_read_all_data TO {TENANT}")
    assert migrations.check(owned) == [f"{NO_SUCH_RIGHT}member of pg_read_all_data"]
    run_sql(roles.url, f"REVOKE pg_read_all_data FROM {TENANT}")
    assert migrations.check(owned) == []


def test_a_role_that_is_missing_is_named(roles: Server, owned: str) -> None:
    in_it = roles.url_for(owned.rpartition("/")[2])
    run_sql(in_it, f"DROP OWNED BY {TENANT}", f"DROP ROLE {TENANT}")
    assert migrations.check(owned) == [f"role {TENANT} is missing"]
