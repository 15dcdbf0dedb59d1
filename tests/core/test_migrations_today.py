"""The definitions of today and the history of revisions lead to the same schema.

The definitions of today are the models and `tenancy.py`; the revisions hold their own literals.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.schema import CreateIndex, CreateSchema, CreateTable

from support.drivers import sqlalchemy_url
from support.schema_dump import Dump
from support.sql import run_sql
from taskcore import Task, migrations, tenancy

TENANT = tenancy.TENANT_ROLE


def build_today(connection: Connection) -> None:
    """Make the schema from the definitions of today, without a revision."""
    table = Task.__table__
    connection.execute(CreateSchema("public", if_not_exists=True))
    # The adoption script finds or makes the users table, and adds the foreign key.
    connection.execute(CreateTable(table, include_foreign_key_constraints=[]))
    for index in table.indexes:
        connection.execute(CreateIndex(index))
    connection.execute(
        text(
            f"CREATE TABLE public.{tenancy.VERSION_TABLE} (version_num varchar(32) NOT NULL "
            f"CONSTRAINT {tenancy.VERSION_TABLE}_pkc PRIMARY KEY)"
        )
    )
    scripts = [
        tenancy.ADOPT_USERS,
        tenancy.lock_sql("public"),
        tenancy.reason_function_sql("public"),
        tenancy.show_revision_sql("public"),
    ]
    for script in scripts:
        connection.execute(text(script))


@pytest.mark.usefixtures("url")  # its migration creates the tenant role
def test_all_revisions_lead_to_the_definitions_of_today(
    own_url: str, make_database: Callable[[], str], dump: Dump
) -> None:
    today_url = make_database()
    engine = create_engine(sqlalchemy_url(today_url))
    with engine.begin() as connection:
        build_today(connection)
    engine.dispose()
    # Sorted, because the order of columns depends on when they were added, and changes nothing.
    by_revisions, by_definitions = sorted(dump(own_url)), sorted(dump(today_url))
    assert [line.rstrip(",") for line in by_revisions] == [
        line.rstrip(",") for line in by_definitions
    ]
    # Control: a different grant, default or property of the function is seen.
    for change in (
        f"REVOKE DELETE ON public.tasks FROM {TENANT}",
        "ALTER TABLE public.tasks ALTER completed SET DEFAULT true",
        "ALTER FUNCTION public.taskcore_why_missed VOLATILE",
    ):
        before = sorted(dump(today_url))
        run_sql(today_url, change)
        assert sorted(dump(today_url)) != before


def test_an_adoption_keeps_the_schema_that_the_revisions_made(own_url: str, dump: Dump) -> None:
    before = dump(own_url)
    migrations.adopt_users(own_url, "public.users")
    assert dump(own_url) == before
    migrations.adopt_users(own_url, "none")
    assert dump(own_url) != before
