"""Every connection starts with its search_path, which is added to the options of the URL."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from core.pool_connection import pool_connection
from taskcore import Database, admin, migrations
from taskcore.connections import with_search_path
from taskcore.migrations.connection import connect
from taskcore.tenancy import SEARCH_PATH

SHOW = "SELECT current_setting('search_path'), current_setting('work_mem')"
GIVEN = "?options=-c%20work_mem%3D7MB%20-c%20search_path%3Dpublic"


def of_the_pool(url: str, **settings: Any) -> Any:
    with (
        Database(url, min_size=1, max_size=1, **settings) as database,
        pool_connection(database) as connection,
    ):
        return connection.execute(SHOW).fetchone()


def of_migrations(url: str) -> object:
    with connect(url) as connection:
        driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        return driver.execute(SHOW).fetchone()  # before a transaction of SQLAlchemy's begins


def of_an_operator(url: str) -> object:
    # Past what the session's transactions begin with.
    with admin.connected(url) as session, psycopg.Cursor(session) as cursor:
        return cursor.execute(SHOW).fetchone()


@pytest.mark.parametrize("settings", [of_the_pool, of_migrations, of_an_operator])
def test_it_is_the_first_statements_already(settings: object, url: str) -> None:
    assert callable(settings)
    assert settings(url + GIVEN) == (SEARCH_PATH.replace(" ", ""), "7MB")
    # The control: the URL alone.
    with psycopg.connect(url + GIVEN) as plain:
        assert plain.execute(SHOW).fetchone() == ("public", "7MB")


def test_behind_a_transaction_pooler_it_is_the_transactions_only(url: str) -> None:
    """A pooler refuses start-up options; the binding sets it for each transaction."""
    path, _ = of_the_pool(url, prepare=False)
    assert path == '"$user", public'
    with Database(url, max_size=1, prepare=False) as database:
        assert database.run(migrations.database_revision()) == migrations.head()


def test_the_options_of_the_environment_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGOPTIONS", "-c work_mem=7MB")
    ours = "-c search_path=pg_catalog,pg_temp"
    for given, options in [
        ("host=a", f"-c work_mem=7MB {ours}"),
        ("host=a options=endpoint=ep-1", f"endpoint=ep-1 {ours}"),
    ]:
        assert conninfo_to_dict(with_search_path(given))["options"] == options
    monkeypatch.delenv("PGOPTIONS")
    assert conninfo_to_dict(with_search_path("host=a"))["options"] == ours
