"""Database URLs of all usual forms are accepted; no error repeats one."""

from __future__ import annotations

import pytest
from psycopg.conninfo import conninfo_to_dict

from taskcore import Database, InvalidInput, list_tasks
from taskcore.urls import Place, direct, is_pooled, libpq_conninfo, place_of

NEON = "postgresql://app:s3cret@ep-cool-name-123456-pooler.eu-central-1.aws.neon.tech/neondb"
SCHEMES = ["postgres", "postgresql", "postgresql+psycopg", "postgresql+asyncpg"]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_scheme_gives_the_same_parameters(scheme: str) -> None:
    found = conninfo_to_dict(libpq_conninfo(f"{scheme}://app:s3cret@db.example:6543/tasks"))
    assert found == {
        "user": "app",
        "password": "s3cret",
        "host": "db.example",
        "port": "6543",
        "dbname": "tasks",
    }


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_scheme_connects_to_the_database(scheme: str, url: str, alice: str) -> None:
    with Database(f"{scheme}://{url.partition('://')[2]}") as database:
        assert database.run(list_tasks(alice)) == []


def test_neons_url_is_accepted_unchanged() -> None:
    found = conninfo_to_dict(libpq_conninfo(f"{NEON}?sslmode=require&channel_binding=require"))
    assert (found["sslmode"], found["channel_binding"]) == ("require", "require")


@pytest.mark.parametrize("query", ["?ssl=require", "?application_name=x@y&ssl=require"])
def test_asyncpgs_ssl_becomes_sslmode(query: str) -> None:
    for login in ("", "app:s3cret@"):
        found = conninfo_to_dict(libpq_conninfo(f"postgresql+asyncpg://{login}db.example/t{query}"))
        assert found["sslmode"] == "require"
        assert "ssl" not in found


def test_a_password_is_not_changed() -> None:
    found = conninfo_to_dict(libpq_conninfo("postgresql://app:a&ssl=b?ssl=c@db.example/tasks"))
    assert found["password"] == "a&ssl=b?ssl=c"


def test_several_hosts_are_kept() -> None:
    found = conninfo_to_dict(libpq_conninfo("postgresql://app@one:5432,two:5433/tasks"))
    assert (found["host"], found["port"]) == ("one,two", "5432,5433")


@pytest.mark.parametrize(
    "url",
    [
        "mysql://app:s3cret@db.example/tasks",
        "sqlite:///s3cret.db",
        "host=db.example password=s3cret",
        "postgresql:/app:s3cret@db.example/tasks",
        " postgresql://app:s3cret@db.example/tasks",
        "",
    ],
)
def test_any_other_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="must start with postgresql://") as refused:
        Database(url)
    assert "s3cret" not in str(refused.value)
    Database("postgresql://app:s3cret@db.example/tasks")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgresql://app:s3cret@db.example/tasks?colour=blue", "no parameter 'colour'"),
        ("postgresql://app:s3cret%zz@db.example/tasks", "can't be read"),
        ("postgresql://app:s3cret@[::1/tasks", "can't be read"),
    ],
)
def test_a_url_that_libpq_cannot_read_is_refused_and_not_repeated(url: str, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason) as refused:
        Database(url)
    assert "s3cret" not in str(refused.value)
    assert refused.value.__suppress_context__, "libpq's own message repeats the password"


@pytest.mark.parametrize(
    ("host", "pooled", "direct_host"),
    [
        ("ep-x-1-pooler.neon.tech", True, "ep-x-1.neon.tech"),
        ("ep-x-1-pooler.neon.tech,two", True, "ep-x-1.neon.tech,two"),
        ("ep-pooler", True, "ep"),
        ("ep-x-1.neon.tech", False, "ep-x-1.neon.tech"),
        ("ep-pooler-1.neon.tech", False, "ep-pooler-1.neon.tech"),
        ("db.my-pooler.example", False, "db.my-pooler.example"),
    ],
)
def test_a_pooler_is_recognised_by_its_host_name(host: str, pooled: bool, direct_host: str) -> None:
    conninfo = libpq_conninfo(f"postgresql://app:s3cret@{host}/tasks?sslmode=require")
    assert is_pooled(conninfo) is pooled
    assert conninfo_to_dict(direct(conninfo)) == {
        **conninfo_to_dict(conninfo),
        "host": direct_host,
    }


def test_a_url_without_a_host_is_direct() -> None:
    conninfo = libpq_conninfo("postgresql:///tasks")
    assert not is_pooled(conninfo)
    assert direct(conninfo) == conninfo


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("postgresql://app:s3cret@db.example:6543/tasks", ("db.example", 6543, "tasks")),
        ("postgres+asyncpg://app@db.example/tasks", ("db.example", 5432, "tasks")),
        ("postgresql://app@[::1]/tasks", ("::1", 5432, "tasks")),
        ("postgresql://one:5432,two:5433/tasks", (None, None, "tasks")),
        ("postgresql:///tasks?host=/run/postgresql&port=5433", ("/run/postgresql", None, "tasks")),
        ("postgresql:///tasks", (None, None, "tasks")),
        ("postgresql://db.example", ("db.example", 5432, None)),
    ],
)
def test_the_place_of_a_database_is_what_its_url_says(url: str, place: Place) -> None:
    assert place_of(url) == place
