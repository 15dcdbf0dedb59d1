"""A failed connection is reported without the password; a pooler in the URL is bypassed."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from urllib.parse import urlsplit, urlunsplit

import pytest

from support.ports import closed_port
from support.sql import as_login
from taskcore import InvalidInput, TaskcoreError, migrations
from taskcore.errors import NoConnection

SECRET = "hunter2-of-a-test"
ACTIONS: dict[str, Callable[[str], object]] = {
    "upgrade": migrations.upgrade,
    "downgrade": migrations.downgrade,
    "current": migrations.current,
    "check": migrations.check,
    "adopt_users": lambda url: migrations.adopt_users(url, "none"),
}


def at_port(url: str, port: int) -> str:
    parts = urlsplit(as_login(url, "postgres", SECRET))
    return urlunsplit(parts._replace(netloc=f"postgres:{SECRET}@127.0.0.1:{port}"))


@pytest.mark.parametrize("name", ACTIONS)
def test_no_connection_is_an_error_of_ours_without_the_password(url: str, name: str) -> None:
    with closed_port() as port:
        for wrong in (
            at_port(url, port),
            as_login(url, "postgres", SECRET),
            as_login(url, "unknown", SECRET),
            f"{url}_that_is_not",
        ):
            with pytest.raises(NoConnection) as refused:
                ACTIONS[name](wrong)
            assert isinstance(refused.value, TaskcoreError)
            assert SECRET not in "".join(traceback.format_exception(refused.value))
    assert migrations.current(url) == migrations.head()


def test_a_url_of_another_database_system_is_refused_without_the_password() -> None:
    with pytest.raises(InvalidInput) as refused:
        migrations.current(f"mysql://postgres:{SECRET}@127.0.0.1/x")
    assert SECRET not in str(refused.value)


def test_a_pooler_url_connects_to_the_database_directly(empty_url: str) -> None:
    parts = urlsplit(empty_url)
    pooled = parts.netloc.replace("127.0.0.1", "localhost-pooler")
    assert pooled != parts.netloc
    url = urlunsplit(parts._replace(netloc=pooled))
    migrations.upgrade(url)
    assert migrations.check(url) == []
    assert migrations.current(empty_url) == migrations.head()


@pytest.mark.parametrize("scheme", ["postgres", "postgresql+asyncpg", "postgresql+psycopg"])
def test_urls_of_other_drivers_are_accepted(own_url: str, scheme: str) -> None:
    assert migrations.current(own_url.replace("postgresql", scheme, 1)) == migrations.head()
