"""Whose objects are used: for the login of a server, for an operator's, and for a superuser."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from support.sql import as_login, operations_work, run_sql
from taskcore import UntrustedObject, migrations
from taskcore.embedded import Server

# What the owner of the table `tasks` is; and whether a server (which is bound to the tenant role
# when it asks), an operator and a superuser use the table.
OWNERS: dict[str, tuple[str, tuple[bool, bool, bool]]] = {
    "another superuser": ("ALTER ROLE maker SUPERUSER", (True, True, True)),
    "the database's owner": ("ALTER DATABASE tasks OWNER TO maker", (True, True, True)),
    "the schema's owner": ("ALTER SCHEMA public OWNER TO maker", (True, True, True)),
    "a role of both logins": ("GRANT maker TO server, operator", (True, True, False)),
    "a member of the tenant role": ("GRANT taskcore_tenant TO maker", (True, False, False)),
    "another login": ("SELECT 1", (False, False, False)),
}


def is_used(act: Callable[[], object]) -> bool:
    try:
        act()
    except UntrustedObject:
        return False
    return True


@pytest.mark.parametrize("name", OWNERS)
def test_the_owner_of_a_table_decides_who_uses_it(
    name: str, roles: Server, make_login: Callable[[str, str], None]
) -> None:
    change, expected = OWNERS[name]
    for login in ("server", "operator", "maker"):
        make_login(login, "")
    run_sql(roles.url, "CREATE DATABASE tasks")
    url = roles.url_for("tasks")
    migrations.upgrade(url)
    run_sql(
        url,
        "INSERT INTO users (id) VALUES ('alice')",
        "GRANT taskcore_tenant TO server",
        "GRANT SELECT ON taskcore_version TO operator",
    )
    acts: list[Callable[[], object]] = [
        lambda: operations_work(as_login(url, "server"), "alice"),
        lambda: migrations.current(as_login(url, "operator")),
        lambda: migrations.current(url),
    ]
    # The control: all of them use the superuser's table.
    assert [is_used(act) for act in acts] == [True, True, True]
    run_sql(url, "ALTER TABLE tasks OWNER TO maker", change)
    assert tuple(is_used(act) for act in acts) == expected
