"""How every connection of this project begins: with a search_path that finds only PostgreSQL's own.

Another login may be allowed to create objects in `public`. Under the usual search_path its
operators and functions would be called where they fit the types of a statement better. So the
search_path comes with the start-up options. A pooler may refuse those; then the first statement of
each transaction sets it, for that transaction only, because the pooler gives the connection to
other clients afterwards.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Self, TypeVar

import psycopg
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from .tenancy import SEARCH_PATH, SET_SEARCH_PATH

T = TypeVar("T")

_OPTION = f"-c search_path={SEARCH_PATH.replace(' ', '')}"


def with_search_path(conninfo: str) -> str:
    """Add the search_path to the start-up options of a connection string, or of PGOPTIONS."""
    given = conninfo_to_dict(conninfo).get("options") or os.environ.get("PGOPTIONS") or ""
    return make_conninfo(conninfo, options=f"{given} {_OPTION}".lstrip())


def refuses_options(error: psycopg.Error) -> bool:
    """Whether a pooler refused the start-up options.

    There is no SQLSTATE for a connection that failed, and no common sentence. PgBouncer and
    Amazon's RDS Proxy both name the options; PostgreSQL does not, for any fault of a login.
    """
    return "option" in str(error)


# Words of the messages of PostgreSQL, libpq and PgBouncer. A server may speak another language:
# then the refusal is a failure like others, and is tried again until the deadline.
_LOGIN_REFUSALS = {
    "password authentication failed|no password supplied|SASL authentication failed": (
        "The database does not accept the password of this login."
    ),
    'role ".*" does not exist|not permitted to log in|no pg_hba.conf entry': (
        "The database server does not let this login in."
    ),
    'database ".*" does not exist|no such database': "The server has no such database.",
}


def login_refusal(error: BaseException | None) -> str | None:
    """Say why the server refused this login; None for a failure that may pass by itself.

    There is no SQLSTATE for a connection that failed.
    """
    if not isinstance(error, psycopg.OperationalError):
        return None
    said = str(error)
    return next((why for words, why in _LOGIN_REFUSALS.items() if re.search(words, said)), None)


def connect(make: Callable[[str], T], conninfo: str) -> T:
    """Make a connection with the search_path; without, if start-up options are refused."""
    try:
        return make(with_search_path(conninfo))
    except psycopg.OperationalError as error:
        if not refuses_options(error):
            raise
    return make(conninfo)


class LocalConnection(psycopg.Connection[tuple[Any, ...]]):
    """A connection each of whose transactions begins with `settings`, which end with it.

    It is in autocommit mode: a statement outside of `transaction()` is a transaction of its own.
    """

    settings = SET_SEARCH_PATH

    @classmethod
    def open(cls, conninfo: str, **options: Any) -> Self:
        make = partial(cls.connect, autocommit=True, prepare_threshold=None, **options)
        return connect(make, conninfo)

    @contextmanager
    def transaction(
        self, savepoint_name: str | None = None, force_rollback: bool = False
    ) -> Iterator[psycopg.Transaction]:
        begins = self._is_idle
        with super().transaction(savepoint_name, force_rollback) as transaction:
            if begins:
                super().execute(self.settings.encode())
            yield transaction

    def execute(self, *arguments: Any, **options: Any) -> psycopg.Cursor[tuple[Any, ...]]:
        if not self._is_idle:
            return super().execute(*arguments, **options)
        with self.transaction():
            return super().execute(*arguments, **options)

    @property
    def _is_idle(self) -> bool:
        return self.info.transaction_status == pq.TransactionStatus.IDLE
